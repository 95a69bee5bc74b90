use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn model(body: &[u8]) -> Option<String> {
    let mut unchunked = RequestReader::new(Api::Chat, None);
    unchunked.feed(body);
    unchunked.finish();
    for cut in 0..=body.len() {
        let mut reader = RequestReader::new(Api::Chat, None);
        reader.feed(&body[..cut]);
        reader.feed(&body[cut..]);
        reader.finish();
        assert_eq!(reader.facts(), unchunked.facts(), "cut at {cut}");
    }
    unchunked
        .facts()
        .model
        .as_ref()
        .map(|name| String::from_utf8_lossy(name).into_owned())
}

#[test]
fn model_is_found_at_any_position_and_in_any_encoding() {
    for (body, name) in [
        (r#"{"model":"a"}"#, Some("a")),
        (
            r#"{"messages":[{"role":"user","model":"x","content":"\"model\":\"y\""}],"model":"a"}"#,
            Some("a"),
        ),
        (r#" { "mod\u0065l" : "meta\/\u00fc\ud83d\ude00" } "#, Some("meta/ü😀")),
        (r#"{"model":"a","model":"b"}"#, Some("b")),
        (r#"{"model":"a","model":null}"#, None),
        (r#"{"model":"a","model":{"model":"b"}}"#, None),
        (r#"{"model":["a"]}"#, None),
        (r#"{"model":7}"#, None),
        (r#"{"model":""}"#, None),
        (r#"{"models":"a","Model":"b"}"#, None),
        (r#"{}"#, None),
        ("\u{feff}{\"model\":\"a\"}", Some("a")),
        (r#"{"model":"a","temperature":NaN}"#, Some("a")),
    ] {
        assert_eq!(model(body.as_bytes()).as_deref(), name, "{body}");
    }
}

#[test]
fn malformed_body_names_no_model() {
    for body in [
        "",
        "   ",
        r#"{"model":"a","prompt": "#,
        r#"{"model":"a"}}"#,
        r#"{"model":"a"},"#,
        r#"["model","a"]"#,
        "model=a",
    ] {
        assert_eq!(model(body.as_bytes()), None, "{body}");
    }
    let utf16: Vec<u8> = r#"{"model":"a"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(model(&utf16), None);
}

#[test]
fn aborted_body_reports_the_model_read_so_far() {
    let mut reader = RequestReader::new(Api::Chat, None);
    reader.feed(br#"{"model":"a","messages":["#);
    assert_eq!(reader.facts().model.as_deref(), Some(b"a".as_slice()));
}

#[test]
fn form_names_the_model() {
    let form = b"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n--b--\r\n";
    for end in 0..=form.len() {
        let mut reader = RequestReader::new(Api::Audio, None);
        reader.feed(&form[..end]);
        assert_eq!(reader.wants_more(), end < form.len() - 2, "{end}");
        reader.finish();
        let named = end >= form.len() - 2;
        let expected = RequestFacts {
            model: named.then(|| b"whisper".to_vec()),
            ..RequestFacts::default()
        };
        assert_eq!(reader.facts(), &expected, "{end}");
    }
    let mut reader = RequestReader::new(Api::Audio, None);
    reader.feed(br#"{"model":"a"}"#);
    reader.finish();
    assert_eq!(reader.facts(), &RequestFacts::default());
}

#[test]
fn long_model_name_is_truncated() {
    let mut reader = RequestReader::new(Api::Chat, None);
    reader.feed(b"{\"model\":\"");
    for _ in 0..10_000 {
        reader.feed(&[b'x'; 100]);
    }
    reader.feed(b"\"}");
    reader.finish();
    assert_eq!(reader.facts().model.as_ref().map(Vec::len), Some(crate::json::MAX_TEXT));
}

#[test]
fn include_usage_accepts_every_value_that_servers_accept() {
    let include_usage = |options: &str| {
        let mut reader = RequestReader::new(Api::Chat, None);
        reader.feed(format!(r#"{{"stream":true,{options}"model":"a"}}"#).as_bytes());
        reader.finish();
        reader.facts().include_usage
    };
    for value in ["true", "\"true\"", "\"True\"", "\"yes\"", "\"1\"", "1", "1.0", "\"on\""] {
        assert!(
            include_usage(&format!(r#""stream_options":{{"include_usage":{value}}},"#)),
            "{value}"
        );
    }
    for options in [
        "",
        r#""stream_options":null,"#,
        r#""stream_options":{},"#,
        r#""stream_options":{"include_usage":null},"#,
        r#""stream_options":{"include_usage":false},"#,
        r#""stream_options":{"include_usage":"no"},"#,
        r#""stream_options":{"include_usage":2},"#,
        r#""stream_options":{"include_usage":{}},"#,
        r#""stream_options":{"continuous_usage_stats":true},"#,
        r#""include_usage":true,"#,
        r#""stream_options":{"include_usage":true},"stream_options":null,"#,
        r#""stream_options":{"include_usage":true,"include_usage":false},"#,
    ] {
        assert!(!include_usage(options), "{options}");
    }
}

#[test]
fn empty_body_is_not_malformed() {
    let malformed = |api, body: &str| {
        let mut reader = RequestReader::new(api, None);
        reader.feed(body.as_bytes());
        reader.finish();
        reader.facts().malformed
    };
    assert_eq!(["", " ", "{}"].map(|body| malformed(Api::Chat, body)), [false; 3]);
    assert_eq!(["{", "x", "{}}"].map(|body| malformed(Api::Chat, body)), [true; 3]);
    assert!(!malformed(Api::Audio, "--boundary"));
}

// The encoders are dependencies of native tests only.
#[cfg(not(target_arch = "wasm32"))]
mod encoded {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const BODY: &[u8] = br#"{"messages":[],"model":"a","stream_options":{"include_usage":true}}"#;
    const UNREADABLE: RequestFacts = RequestFacts {
        model: None,
        include_usage: false,
        malformed: false,
        encoded: true,
    };

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    /// Reads the body in one chunk and split in two at every position.
    fn read(coding: &str, body: &[u8]) -> RequestFacts {
        let read = |chunks: &[&[u8]]| {
            let mut reader = RequestReader::new(Api::Chat, Some(coding.as_bytes()));
            for chunk in chunks {
                if reader.wants_more() {
                    reader.feed(chunk);
                }
            }
            reader.finish();
            reader.facts().clone()
        };
        let unchunked = read(&[body]);
        for at in 0..=body.len() {
            let (before, after) = body.split_at(at);
            assert_eq!(read(&[before, after]), unchunked, "{coding} split at {at}");
        }
        unchunked
    }

    #[test]
    fn compressed_body_is_read() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(BODY).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::none());
        raw.write_all(BODY).unwrap();
        let plain = read("identity", BODY);
        assert_eq!(
            (plain.model.as_deref(), plain.include_usage),
            (Some(b"a".as_slice()), true)
        );
        for (coding, body) in [
            ("gzip", gzip(BODY)),
            ("X-Gzip", gzip(BODY)),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", raw.finish().unwrap()),
        ] {
            assert_eq!(read(coding, &body), plain, "{coding}");
        }
        assert_eq!(read("gzip", b""), RequestFacts::default());
    }

    #[test]
    fn encoded_body_that_cannot_be_read_is_no_parse_failure() {
        let compressed = gzip(BODY);
        let mut corrupt = compressed.clone();
        corrupt[12..].fill(0xff);
        for (coding, body) in [
            ("br", BODY),
            ("gzip, br", &compressed),
            ("zstd", b""),
            ("gzip", BODY),
            ("deflate", b"\xff\xff\xff\xff"),
            ("gzip", &corrupt),
            ("gzip", &compressed[..compressed.len() / 2]),
            ("gzip", &gzip(b"{\"model\":\"a\"}}")),
            ("gzip", &gzip(b"model=a")),
        ] {
            assert_eq!(read(coding, body), UNREADABLE, "{coding}");
        }
    }
}
