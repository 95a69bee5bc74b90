//! The property of the JSON scanner. Input: a body.

use infertally_filter::exchange::MAX_STATE_BYTES;
use infertally_filter::json::{MAX_TEXT, Path, Paths, Progress, Scanner, Segment, Segment::Key, Value};
use infertally_oracle::json::is_json;
use infertally_oracle::tree::Tree;

use crate::body::Body;
use crate::choices::Choices;
use crate::heap;

/// Paths of every kind that the readers use, and some deeper ones. An id is the index of the path.
const PATHS: &[&[Path<usize>]] = &[&[
    path(0, &[]),
    path(1, &[Key("model")]),
    path(2, &[Key("usage")]),
    path(3, &[Key("usage"), Key("prompt_tokens")]),
    path(4, &[Key("usage"), Key("prompt_tokens_details"), Key("cached_tokens")]),
    path(5, &[Key("choices")]),
    path(6, &[Key("choices"), Segment::Each]),
    path(7, &[Key("choices"), Segment::Each, Key("finish_reason")]),
    path(8, &[Key("choices"), Segment::Each, Key("delta"), Key("content")]),
    path(
        9,
        &[
            Key("data"),
            Segment::Each,
            Segment::Each,
            Key("a"),
            Segment::Each,
            Key("b"),
        ],
    ),
    path(10, &[Key("error")]),
    path(11, &[Segment::Each]),
]];
static COMPILED: Paths<usize> = Paths::new(PATHS);
static NO_PATHS: Paths<usize> = Paths::new(&[]);

/// An owned [`Value`].
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Object,
    Array,
    End,
    Text(Vec<u8>),
    /// Verbatim; empty if it was too long to be kept.
    Digits(Vec<u8>),
    Bool(bool),
    Null,
}

/// A value that the scanner must report.
#[derive(Clone, Debug, PartialEq)]
enum Expected {
    Seen(Seen),
    Number(f64),
}

/// # Panics
/// If the property does not hold.
pub fn check(input: &[u8]) {
    let mut body = Body::read(Choices(input));
    // Without it, a number at the top level would not end.
    body.bytes.push(b'\n');

    let (events, progress) = body.read_in_every_way(|chunks| scan(&mut Scanner::new(&COMPILED), chunks));

    let mut scanner = Scanner::new(&COMPILED);
    scan(&mut scanner, &mut body.chunks().take(2));
    scanner.restart();
    let again = scan(&mut scanner, &mut body.chunks());
    assert_eq!(again, (events.clone(), progress), "after a restart");

    let held = heap::peak(|| {
        for chunk in body.chunks() {
            scanner.feed(chunk, |_, _| {});
        }
    });
    assert!(held <= MAX_STATE_BYTES, "{held} bytes held");

    // Values that no path selects are checked less strictly: the scanner may accept more without paths, but never less.
    let mut without_paths = Scanner::new(&NO_PATHS);
    without_paths.feed(&body.bytes, |id, value| unreachable!("{id} {value:?}"));
    let without_paths = without_paths.progress();
    assert!(
        matches!(progress, Progress::Malformed(_)) || without_paths == progress,
        "{without_paths:?} {progress:?}"
    );
    if let Some(is_json) = is_json(&body.bytes) {
        assert_eq!(without_paths == Progress::Complete, is_json, "{without_paths:?}");
    }

    if let Some(tree) = Tree::parse(&body.bytes) {
        assert_eq!(progress, Progress::Complete);
        let mut expected = Vec::new();
        walk(&tree, &mut Vec::new(), &mut expected);
        assert_eq!(events.len(), expected.len(), "{events:?} {expected:?}");
        for ((id, seen), (expected_id, expected)) in events.iter().zip(&expected) {
            assert!(
                id == expected_id && agree(seen, expected),
                "{id} {seen:?}, not {expected_id} {expected:?}"
            );
        }
    }
}

fn scan(scanner: &mut Scanner<usize>, chunks: &mut dyn Iterator<Item = &[u8]>) -> (Vec<(usize, Seen)>, Progress) {
    let mut events = Vec::new();
    for chunk in chunks {
        scanner.feed(chunk, |id, value| events.push((id, seen(value))));
    }
    (events, scanner.progress())
}

fn seen(value: Value<'_>) -> Seen {
    match value {
        Value::Object => Seen::Object,
        Value::Array => Seen::Array,
        Value::End => Seen::End,
        Value::Str(text) => {
            assert!(text.len() <= MAX_TEXT, "{} bytes", text.len());
            Seen::Text(text.to_vec())
        }
        Value::Number(digits) => Seen::Digits(digits.to_vec()),
        Value::Bool(value) => Seen::Bool(value),
        Value::Null => Seen::Null,
    }
}

fn agree(seen: &Seen, expected: &Expected) -> bool {
    match (seen, expected) {
        (Seen::Digits(digits), Expected::Number(number)) => {
            digits.is_empty() || serde_json::from_slice::<f64>(digits).is_ok_and(|read| read == *number)
        }
        (seen, Expected::Seen(expected)) => seen == expected,
        _ => false,
    }
}

/// Collects every value of the document that a path selects.
fn walk<'a>(value: &'a Tree, position: &mut Vec<Step<'a>>, expected: &mut Vec<(usize, Expected)>) {
    let id = PATHS
        .iter()
        .copied()
        .flatten()
        .find(|path| is_at(path.segments, position))
        .map(|path| path.id);
    let mut add = |value| expected.extend(id.map(|id| (id, value)));
    add(match value {
        Tree::Object(_) => Expected::Seen(Seen::Object),
        Tree::List(_) => Expected::Seen(Seen::Array),
        Tree::Text(text) => Expected::Seen(Seen::Text(text.bytes().take(MAX_TEXT).collect())),
        Tree::Number(number) => Expected::Number(*number),
        Tree::Bool(value) => Expected::Seen(Seen::Bool(*value)),
        Tree::Null => Expected::Seen(Seen::Null),
    });
    match value {
        Tree::Object(members) => {
            for (key, member) in members {
                position.push(Step::Key(key));
                walk(member, position, expected);
                position.pop();
            }
        }
        Tree::List(elements) => {
            for element in elements {
                position.push(Step::Element);
                walk(element, position, expected);
                position.pop();
            }
        }
        Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) => return,
    }
    expected.extend(id.map(|id| (id, Expected::Seen(Seen::End))));
}

/// One level of a position in a document.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Key(&'a str),
    Element,
}

fn is_at(segments: &[Segment], position: &[Step<'_>]) -> bool {
    segments.len() == position.len()
        && segments.iter().zip(position).all(|(seg, step)| match (seg, step) {
            (Segment::Key(key), Step::Key(name)) => key == name,
            (Segment::Each, Step::Element) => true,
            _ => false,
        })
}

const fn path(id: usize, segments: &'static [Segment]) -> Path<usize> {
    Path { id, segments }
}
