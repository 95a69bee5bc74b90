mod keys;
mod strings;

use serde_json::Value as Json;

use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Id {
    Top,
    A,
    Ab,
    AbC,
    List,
    Element,
    ElementX,
}

pub(super) static PATHS: Paths<Id> = Paths::new(&[&[
    Path {
        id: Id::Top,
        segments: &[],
    },
    Path {
        id: Id::A,
        segments: &[Segment::Key("a")],
    },
    Path {
        id: Id::Ab,
        segments: &[Segment::Key("a"), Segment::Key("b")],
    },
    Path {
        id: Id::AbC,
        segments: &[Segment::Key("a"), Segment::Key("b"), Segment::Key("c")],
    },
    Path {
        id: Id::List,
        segments: &[Segment::Key("l")],
    },
    Path {
        id: Id::Element,
        segments: &[Segment::Key("l"), Segment::Each],
    },
    Path {
        id: Id::ElementX,
        segments: &[Segment::Key("l"), Segment::Each, Segment::Key("x")],
    },
]]);

/// An owned copy of an emitted [`Value`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Seen {
    Object,
    Array,
    End,
    Scalar(Json),
}

pub(super) fn seen(value: Value<'_>) -> Seen {
    match value {
        Value::Object => Seen::Object,
        Value::Array => Seen::Array,
        Value::End => Seen::End,
        Value::Str(bytes) => Seen::Scalar(Json::from(String::from_utf8_lossy(bytes))),
        Value::Number(digits) => Seen::Scalar(serde_json::from_slice(digits).unwrap_or(Json::Null)),
        Value::Bool(value) => Seen::Scalar(Json::from(value)),
        Value::Null => Seen::Scalar(Json::Null),
    }
}

pub(super) fn scan<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<(Id, Seen)>, Progress) {
    let mut scanner = Scanner::new(&PATHS);
    let mut events = Vec::new();
    for chunk in chunks {
        scanner.feed(chunk, |id, value| events.push((id, seen(value))));
    }
    (events, scanner.progress())
}

pub(super) fn scan_unchunked(text: &[u8]) -> (Vec<(Id, Seen)>, Progress) {
    scan([text])
}

#[test]
fn progress_reports_the_state_of_the_document() {
    for (text, progress) in [
        ("", Progress::Empty),
        (" \n", Progress::Empty),
        ("\u{feff}", Progress::Empty),
        ("{}", Progress::Complete),
        ("\u{feff} {} \n", Progress::Complete),
        ("[1,2.5e3,-0,[],{\"\":[{}]}]", Progress::Complete),
        ("[NaN,Infinity,-Infinity]", Progress::Complete),
        ("\"a\"", Progress::Complete),
        ("{\"a\"", Progress::Incomplete),
        ("[1,", Progress::Incomplete),
        ("\"a\\", Progress::Incomplete),
        ("tru", Progress::Incomplete),
        ("{}{", Progress::Malformed(ScanError::UnexpectedByte)),
        ("{]", Progress::Malformed(ScanError::UnexpectedByte)),
        ("[}", Progress::Malformed(ScanError::UnexpectedByte)),
        ("[1}", Progress::Malformed(ScanError::UnexpectedByte)),
        ("{\"a\":1]", Progress::Malformed(ScanError::UnexpectedByte)),
        ("[1,]", Progress::Malformed(ScanError::UnexpectedByte)),
        ("[,1]", Progress::Malformed(ScanError::UnexpectedByte)),
        ("[1 2]", Progress::Malformed(ScanError::UnexpectedByte)),
        ("{\"a\":1,}", Progress::Malformed(ScanError::UnexpectedByte)),
        ("{\"a\" 1}", Progress::Malformed(ScanError::UnexpectedByte)),
        ("{a:1}", Progress::Malformed(ScanError::UnexpectedByte)),
        ("{1:1}", Progress::Malformed(ScanError::UnexpectedByte)),
        ("trux", Progress::Malformed(ScanError::UnexpectedByte)),
        ("{\"a\":\"\\x\"}", Progress::Malformed(ScanError::UnexpectedByte)),
        ("{\"a\":\"\\u12g4\"}", Progress::Malformed(ScanError::UnexpectedByte)),
        ("\u{feff}\u{feff}{}", Progress::Malformed(ScanError::UnexpectedByte)),
        (" \u{feff}{}", Progress::Malformed(ScanError::UnexpectedByte)),
        ("data: {}", Progress::Malformed(ScanError::UnexpectedByte)),
    ] {
        assert_eq!(scan_unchunked(text.as_bytes()).1, progress, "{text}");
        assert_eq!(scan(text.as_bytes().chunks(1)).1, progress, "{text}");
    }
}

#[test]
fn unpaired_surrogate_becomes_the_replacement_character() {
    for (text, decoded) in [
        (r#"{"a":"\ud83d\ude00"}"#, "😀"),
        (r#"{"a":"\ud83dx"}"#, "\u{fffd}x"),
        (r#"{"a":"\ud83d"}"#, "\u{fffd}"),
        (r#"{"a":"\ud83d\n"}"#, "\u{fffd}\n"),
        (r#"{"a":"\ud83d\u0041"}"#, "\u{fffd}A"),
        (r#"{"a":"\ud83d\u0041\ude00"}"#, "\u{fffd}A\u{fffd}"),
        (r#"{"a":"\ud83d\ud83d\ude00"}"#, "\u{fffd}😀"),
        (r#"{"a":"\ude00"}"#, "\u{fffd}"),
    ] {
        let (events, _) = scan_unchunked(text.as_bytes());
        assert_eq!(events[1], (Id::A, Seen::Scalar(Json::from(decoded))), "{text}");
    }
}

#[test]
fn nesting_is_limited() {
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert_eq!(scan_unchunked(&nested(MAX_DEPTH)).1, Progress::Complete);
    assert_eq!(
        scan_unchunked(&nested(MAX_DEPTH + 1)).1,
        Progress::Malformed(ScanError::TooDeep)
    );
    let objects = "{\"a\":".repeat(MAX_DEPTH) + "1" + &"}".repeat(MAX_DEPTH);
    assert_eq!(scan_unchunked(objects.as_bytes()).1, Progress::Complete);
}

#[test]
fn restarted_scanner_keeps_no_state() {
    let mut scanner = Scanner::new(&PATHS);
    for document in ["{\"a\":{\"b\":[", "{\"a\":\"\\ud83d", "]", "{\"l\":[{\"x\":1"] {
        scanner.feed(document.as_bytes(), |_, _| {});
        scanner.restart();
        assert_eq!(scanner.progress(), Progress::Empty);
        let mut events = Vec::new();
        scanner.feed(b"{\"a\":{\"b\":7}}", |id, value| events.push((id, seen(value))));
        assert_eq!(events, scan_unchunked(b"{\"a\":{\"b\":7}}").0);
        scanner.restart();
    }
}
