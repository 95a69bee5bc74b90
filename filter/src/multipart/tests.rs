use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const FILE: &str = "Content-Disposition: form-data; name=\"file\"; filename=\"name=\\\"model\\\"; x.wav\"\r\n\
                    Content-Type: audio/wav";
const MODEL: &str = "Content-Disposition: form-data; name=\"model\"";

/// A form of parts, each a header and content.
fn form(boundary: &str, parts: &[(&str, &str)]) -> Vec<u8> {
    let mut form = String::new();
    for (header, content) in parts {
        form += &format!("--{boundary}\r\n{header}\r\n\r\n{content}\r\n");
    }
    form += &format!("--{boundary}--\r\n");
    form.into_bytes()
}

/// Reads the form in one chunk, split in two at every position, and byte by byte.
fn model(form: &[u8]) -> Option<String> {
    let read = |chunks: &mut dyn Iterator<Item = &[u8]>| {
        let mut parser = Parser::new("model");
        for chunk in chunks {
            parser.feed(chunk);
        }
        parser.value().map(|value| String::from_utf8_lossy(value).into_owned())
    };
    let unchunked = read(&mut [form].into_iter());
    for at in 0..=form.len() {
        let (before, after) = form.split_at(at);
        assert_eq!(read(&mut [before, after].into_iter()), unchunked, "split at {at}");
    }
    assert_eq!(read(&mut form.chunks(1)), unchunked);
    unchunked
}

#[test]
fn model_is_found_in_any_order_and_with_any_boundary() {
    for boundary in [
        "x",
        "------------------------a1B2",
        "----WebKitFormBoundary7",
        "a-b",
        "-",
        "=_?'()+,./:",
    ] {
        for parts in [
            &[(FILE, "RIFF"), (MODEL, "whisper-1")][..],
            &[(MODEL, "whisper-1"), (FILE, "RIFF")],
            &[(MODEL, "whisper-1")],
            &[
                (FILE, "--\r\n--\r\r\n--z\r\n"),
                ("content-disposition:form-data;NAME=model", "whisper-1"),
                ("Content-Disposition: form-data; name=\"language\"", "en"),
            ],
        ] {
            assert_eq!(
                model(&form(boundary, parts)).as_deref(),
                Some("whisper-1"),
                "{boundary} {parts:?}"
            );
        }
    }
}

#[test]
fn only_the_field_itself_is_the_model() {
    for parts in [
        &[(FILE, "RIFF")][..],
        &[("Content-Disposition: form-data; name=\"models\"", "x")],
        &[("Content-Disposition: form-data; filename=\"model\"", "x")],
        &[("Content-Disposition: form-data; filename=\"; name=model\"", "x")],
        &[("Content-Type: text/plain; name=\"model\"", "x")],
        &[("X: Content-Disposition: form-data; name=\"model\"", "x")],
        &[(FILE, "\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nx")],
        &[("name=\"model\"", "x")],
    ] {
        assert_eq!(model(&form("b", parts)), None, "{parts:?}");
    }
    assert_eq!(
        model(&form("b", &[("Content-Disposition: form-data; name=\"mo\\del\"", "x")])).as_deref(),
        Some("x")
    );
}

#[test]
fn content_may_contain_parts_of_the_delimiter() {
    for content in [
        "a\r\n--bound",
        "a\r\n--boundaryx",
        "\r\n\r\n",
        "a\r\n--boundary-x",
        "\r\r\n--\r\n",
        "a\r\n--boundarx",
    ] {
        assert_eq!(
            model(&form("boundary", &[(MODEL, content), (FILE, content)])).as_deref(),
            Some(content),
            "{content:?}"
        );
    }
}

#[test]
fn last_complete_field_counts() {
    assert_eq!(model(&form("b", &[(MODEL, "x"), (MODEL, "y")])).as_deref(), Some("y"));
    assert_eq!(model(&form("b", &[(MODEL, "x"), (MODEL, "")])).as_deref(), Some(""));
    let whole = form("b", &[(MODEL, "x"), (FILE, "RIFF")]);
    assert_eq!(model(&whole[..whole.len() - 9]).as_deref(), Some("x"));
    let cut = form("b", &[(FILE, "RIFF"), (MODEL, "x")]);
    assert_eq!(model(&cut[..cut.len() - 6]), None);
}

#[test]
fn unusual_framing_is_read() {
    let body = format!("preamble\r\n\r\n--b \t\r\n{MODEL}\r\n\r\nx\r\n--b \r\n{FILE}\r\n\r\n--b--epilogue\r\n--b\r\n");
    assert_eq!(model(body.as_bytes()).as_deref(), Some("x"));
    // Without content, the line end after the header is the delimiter's.
    assert_eq!(
        model(format!("--b\r\n{MODEL}\r\n\r\n--b--").as_bytes()).as_deref(),
        Some("")
    );
    for body in [
        "",
        "--",
        "--\r\n--\r\n",
        "{\"model\":\"a\"}",
        "\r\n\r\n",
        "--b\r\n\r\n\r\n--b--",
    ] {
        assert_eq!(model(body.as_bytes()), None, "{body}");
    }
}

#[test]
fn memory_is_bounded() {
    let mut parser = Parser::new("model");
    let long = vec![b'x'; 100_000];
    parser.feed(&long);
    parser.feed(format!("\r\n--b\r\n{MODEL}; x=").as_bytes());
    parser.feed(&long);
    parser.feed(b"\r\n\r\n");
    parser.feed(&long);
    parser.feed(b"\r\n--b--");
    assert_eq!(parser.value().map(<[u8]>::len), Some(MAX_TEXT));
    assert!(!parser.wants_more());
    assert!(parser.line.capacity() + parser.value.capacity() + parser.delimiter.capacity() <= 2 * MAX_LINE);
    let mut parser = Parser::new("model");
    parser.feed(b"--");
    parser.feed(&long);
    parser.feed(b"\r\n");
    assert!(!parser.wants_more());
}
