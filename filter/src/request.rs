//! The reader of request bodies, which finds the model and whether a stream is to include usage.
//!
//! It knows the keys of the JSON document, the fields of the form, and nothing about labels.

use crate::inflate::{Decoder, Sink};
use crate::json::{Path, Progress, Scanner, Segment::Key, Value};
use crate::multipart;
use crate::route::Api;

/// A model name as received: JSON escapes decoded, not necessarily UTF-8, truncated to [`MAX_TEXT`](crate::json::MAX_TEXT)
/// bytes.
pub type ModelName = Vec<u8>;

#[derive(Clone, Copy, Debug)]
enum Field {
    Model,
    StreamOptions,
    IncludeUsage,
}

const PATHS: &[Path<Field>] = &[
    Path {
        id: Field::Model,
        segments: &[Key("model")],
    },
    Path {
        id: Field::StreamOptions,
        segments: &[Key("stream_options")],
    },
    Path {
        id: Field::IncludeUsage,
        segments: &[Key("stream_options"), Key("include_usage")],
    },
];

/// The reader of one request body.
#[derive(Debug)]
pub struct RequestReader {
    decoder: Decoder,
    body: Body,
}

/// A decoded body.
#[derive(Debug)]
struct Body {
    format: Format,
    facts: RequestFacts,
}

#[derive(Debug)]
enum Format {
    Json(Scanner<Field>),
    /// Audio: the file and its parameters.
    Form(multipart::Parser),
    /// After the end of the body.
    End,
}

/// The facts read so far from a request body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The last top-level `model`, or field of this name, unless it is empty or no string.
    pub model: Option<ModelName>,
    /// `stream_options.include_usage` is true.
    pub include_usage: bool,
    /// The body is neither empty nor a complete JSON document.
    pub malformed: bool,
    /// The body has a content coding and can't be read: what it requests is unknown.
    pub encoded: bool,
}

// === impl RequestReader ===

impl RequestReader {
    /// A reader for requests to this API.
    pub fn new(api: Api, content_encoding: Option<&[u8]>) -> Self {
        let format = match api {
            Api::Audio => Format::Form(multipart::Parser::new("model")),
            _ => Format::Json(Scanner::new(&[PATHS])),
        };
        let decoder = Decoder::new(content_encoding);
        let mut body = Body {
            format,
            facts: RequestFacts::default(),
        };
        if decoder.has_failed() {
            body.abandon();
        }
        Self { decoder, body }
    }

    /// Whether further bytes can change the facts.
    pub fn wants_more(&self) -> bool {
        self.decoder.wants_more(&self.body)
    }

    /// Reads the next chunk of the body.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.decoder.feed(bytes, &mut self.body);
        if self.decoder.has_failed() {
            self.body.abandon();
        }
    }

    /// Ends the body. A JSON document that is incomplete or malformed names no model; in a form, a complete field does.
    pub fn finish(&mut self) {
        let is_encoded = self.decoder.is_encoded();
        self.decoder.finish();
        let Format::Json(scanner) = std::mem::replace(&mut self.body.format, Format::End) else {
            return;
        };
        match scanner.progress() {
            Progress::Complete => {}
            Progress::Empty => self.body.facts = RequestFacts::default(),
            // Not a parse failure: the coding may be at fault.
            Progress::Incomplete | Progress::Malformed(_) if is_encoded => self.body.abandon(),
            Progress::Incomplete | Progress::Malformed(_) => {
                self.body.facts = RequestFacts {
                    malformed: true,
                    ..RequestFacts::default()
                };
            }
        }
    }

    /// Before [`Self::finish`], a later key may still change them.
    pub fn facts(&self) -> &RequestFacts {
        &self.body.facts
    }
}

// === impl Body ===

impl Body {
    fn abandon(&mut self) {
        self.format = Format::End;
        self.facts = RequestFacts {
            encoded: true,
            ..RequestFacts::default()
        };
    }
}

impl Sink for Body {
    fn wants_more(&self) -> bool {
        match &self.format {
            Format::Json(scanner) => !matches!(scanner.progress(), Progress::Malformed(_)),
            Format::Form(parser) => parser.wants_more(),
            Format::End => false,
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        let Self { format, facts } = self;
        match format {
            // The last of duplicate keys wins, whatever its type.
            Format::Json(scanner) => scanner.feed(bytes, &mut |field, value| match (field, value) {
                (Field::Model, Value::Str(name)) if !name.is_empty() => facts.model = Some(name.to_vec()),
                (Field::Model, _) => facts.model = None,
                (Field::StreamOptions, Value::End) => {}
                (Field::StreamOptions, _) => facts.include_usage = false,
                (Field::IncludeUsage, value) => facts.include_usage = is_true(value),
            }),
            Format::Form(parser) => {
                parser.feed(bytes);
                if facts.model.as_deref() != parser.value() {
                    facts.model = parser.value().filter(|name| !name.is_empty()).map(<[u8]>::to_vec);
                }
            }
            Format::End => {}
        }
    }
}

/// Whether pydantic, the parser of the model servers, accepts the value as true.
fn is_true(value: Value<'_>) -> bool {
    match value {
        Value::Bool(value) => value,
        Value::Number(digits) => matches!(digits, b"1" | b"1.0"),
        Value::Str(word) => [&b"true"[..], b"1", b"yes", b"y", b"on", b"t"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known)),
        Value::Null | Value::Object | Value::Array | Value::End => false,
    }
}

#[cfg(test)]
mod tests {
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
}
