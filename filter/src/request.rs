//! Reads a request's body for the model that it asks for. It knows JSON's `model` key and nothing of labels.

use crate::json::{Path, Progress, Scanner, Seg::Key, Value};
use crate::route::Api;

/// A model's name as it came over the wire: JSON escapes decoded, not checked to be UTF-8, and cut a little after the
/// bytes that a label keeps.
pub type ModelName = Vec<u8>;

#[derive(Clone, Copy, Debug)]
enum Field {
    Model,
}

static PATHS: [Path<Field>; 1] = [Path {
    id: Field::Model,
    segs: &[Key("model")],
}];

/// The reader of one request's body.
#[derive(Debug)]
pub struct RequestReader {
    /// `None` where the body is not JSON by its API.
    scanner: Option<Scanner<Field>>,
    model: Option<ModelName>,
}

// === impl RequestReader ===

impl RequestReader {
    /// A reader for requests of this API.
    pub fn new(api: Api) -> Self {
        Self {
            scanner: (api != Api::Audio).then(|| Scanner::new(&PATHS)),
            model: None,
        }
    }

    /// Whether more bytes can still say anything.
    pub fn wants_more(&self) -> bool {
        self.scanner
            .as_ref()
            .is_some_and(|scanner| !matches!(scanner.progress(), Progress::Broken(_)))
    }

    /// Reads the next bytes of the body.
    pub fn feed(&mut self, bytes: &[u8]) {
        let Some(scanner) = &mut self.scanner else { return };
        let model = &mut self.model;
        // The last of several `model` keys wins, whatever its type.
        scanner.feed(bytes, &mut |Field::Model, value| match value {
            Value::Str(name) if !name.is_empty() => *model = Some(name.to_vec()),
            _ => *model = None,
        });
    }

    /// The body is over: what is not one whole JSON document names no model.
    pub fn finish(&mut self) {
        if self
            .scanner
            .as_ref()
            .is_some_and(|scanner| scanner.progress() != Progress::Complete)
        {
            self.model = None;
        }
        self.scanner = None;
    }

    /// The model that the request asks for, as far as the body was read.
    pub fn model(&self) -> Option<&[u8]> {
        self.model.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(body: &[u8]) -> Option<String> {
        let mut whole = RequestReader::new(Api::Chat);
        whole.feed(body);
        whole.finish();
        for cut in 0..=body.len() {
            let mut reader = RequestReader::new(Api::Chat);
            reader.feed(&body[..cut]);
            reader.feed(&body[cut..]);
            reader.finish();
            assert_eq!(reader.model(), whole.model(), "cut at {cut}");
        }
        whole.model().map(|name| String::from_utf8_lossy(name).into_owned())
    }

    #[test]
    fn the_model_is_found_wherever_it_stands_and_however_it_is_written() {
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
    fn what_is_no_json_document_names_no_model() {
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
    fn a_body_that_was_given_up_names_what_was_read_of_it() {
        let mut reader = RequestReader::new(Api::Chat);
        reader.feed(br#"{"model":"a","messages":["#);
        assert_eq!(reader.model(), Some(b"a".as_slice()));
    }

    #[test]
    fn a_form_is_not_read() {
        let mut reader = RequestReader::new(Api::Audio);
        assert!(!reader.wants_more());
        reader.feed(br#"{"model":"a"}"#);
        assert_eq!(reader.model(), None);
    }

    #[test]
    fn no_more_than_a_label_can_hold_is_kept() {
        let mut reader = RequestReader::new(Api::Chat);
        reader.feed(b"{\"model\":\"");
        for _ in 0..10_000 {
            reader.feed(&[b'x'; 100]);
        }
        reader.feed(b"\"}");
        reader.finish();
        assert_eq!(reader.model().map(<[u8]>::len), Some(crate::json::MAX_TEXT));
    }
}
