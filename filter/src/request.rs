//! Reads a request's body for the model that it asks for, and whether it asks for usage. It knows JSON's keys and nothing
//! of labels.

use crate::json::{Path, Progress, Scanner, Segment::Key, Value};
use crate::route::Api;

/// A model's name as it came over the wire: JSON escapes decoded, not checked to be UTF-8, and cut a little after the
/// bytes that a label keeps.
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

/// The reader of one request's body.
#[derive(Debug)]
pub struct RequestReader {
    /// `None` where the body is not JSON by its API, and after its end.
    scanner: Option<Scanner<Field>>,
    facts: RequestFacts,
}

/// What a request's body says, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The model that it asks for.
    pub model: Option<ModelName>,
    /// It asks for the usage of a chat or completions stream.
    pub includes_usage: bool,
    /// There was a body, and it is not the JSON that its API takes.
    pub broken: bool,
}

// === impl RequestReader ===

impl RequestReader {
    /// A reader for requests of this API.
    pub fn new(api: Api) -> Self {
        let scanner = (api != Api::Audio).then(|| Scanner::new(&[PATHS]));
        Self {
            scanner,
            facts: RequestFacts::default(),
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
        let Self {
            scanner: Some(scanner),
            facts,
        } = self
        else {
            return;
        };
        // The last of several equal keys wins, whatever its type.
        scanner.feed(bytes, &mut |field, value| match (field, value) {
            (Field::Model, Value::Str(name)) if !name.is_empty() => facts.model = Some(name.to_vec()),
            (Field::Model, _) => facts.model = None,
            (Field::StreamOptions, Value::End) => {}
            (Field::StreamOptions, _) => facts.includes_usage = false,
            (Field::IncludeUsage, value) => facts.includes_usage = is_true(value),
        });
    }

    /// The body is over: what is not one whole JSON document names no model.
    pub fn finish(&mut self) {
        match self.scanner.take().map(|scanner| scanner.progress()) {
            None | Some(Progress::Complete) => {}
            Some(Progress::Empty) => self.facts = RequestFacts::default(),
            Some(Progress::Open | Progress::Broken(_)) => {
                self.facts = RequestFacts {
                    broken: true,
                    ..RequestFacts::default()
                };
            }
        }
    }

    /// What was read so far.
    pub fn facts(&self) -> &RequestFacts {
        &self.facts
    }
}

/// What model servers take for true: their parser (pydantic) is generous.
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
        let mut whole = RequestReader::new(Api::Chat);
        whole.feed(body);
        whole.finish();
        for cut in 0..=body.len() {
            let mut reader = RequestReader::new(Api::Chat);
            reader.feed(&body[..cut]);
            reader.feed(&body[cut..]);
            reader.finish();
            assert_eq!(reader.facts(), whole.facts(), "cut at {cut}");
        }
        whole
            .facts()
            .model
            .as_ref()
            .map(|name| String::from_utf8_lossy(name).into_owned())
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
        assert_eq!(reader.facts().model.as_deref(), Some(b"a".as_slice()));
    }

    #[test]
    fn a_form_is_not_read() {
        let mut reader = RequestReader::new(Api::Audio);
        assert!(!reader.wants_more());
        reader.feed(br#"{"model":"a"}"#);
        assert_eq!(reader.facts(), &RequestFacts::default());
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
        assert_eq!(reader.facts().model.as_ref().map(Vec::len), Some(crate::json::MAX_TEXT));
    }

    #[test]
    fn usage_is_asked_for_in_every_way_that_servers_take() {
        let asks = |options: &str| {
            let mut reader = RequestReader::new(Api::Chat);
            reader.feed(format!(r#"{{"stream":true,{options}"model":"a"}}"#).as_bytes());
            reader.finish();
            reader.facts().includes_usage
        };
        for value in ["true", "\"true\"", "\"True\"", "\"yes\"", "\"1\"", "1", "1.0", "\"on\""] {
            assert!(
                asks(&format!(r#""stream_options":{{"include_usage":{value}}},"#)),
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
            assert!(!asks(options), "{options}");
        }
    }

    #[test]
    fn only_a_body_that_is_there_can_be_broken() {
        let broken = |api, body: &str| {
            let mut reader = RequestReader::new(api);
            reader.feed(body.as_bytes());
            reader.finish();
            reader.facts().broken
        };
        assert_eq!(["", " ", "{}"].map(|body| broken(Api::Chat, body)), [false; 3]);
        assert_eq!(["{", "x", "{}}"].map(|body| broken(Api::Chat, body)), [true; 3]);
        assert!(!broken(Api::Audio, "--boundary"));
    }
}
