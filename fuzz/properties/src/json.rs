//! The scanner. Input: a body.

use infertally_filter::exchange::MAX_STATE_BYTES;
use infertally_filter::json::{MAX_TEXT, Path, Progress, Scanner, Segment, Segment::Key, Value};
use infertally_oracle::json::is_json;
use infertally_oracle::tree::Tree;

use crate::body::Body;
use crate::choices::Choices;
use crate::heap;

/// Of every kind that the readers ask for, and a few levels more. An id is the path's place in the list.
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
const NO_PATHS: &[&[Path<usize>]] = &[];

/// A value as the scanner hands it over, owned.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Object,
    Array,
    End,
    Text(Vec<u8>),
    /// As written; empty when it was too long to be kept.
    Digits(Vec<u8>),
    Bool(bool),
    Null,
}

/// What the scanner must hand over.
#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    Seen(Seen),
    Number(f64),
}

/// Panics if the scanner breaks its word.
pub fn check(input: &[u8]) {
    let mut body = Body::read(Choices(input));
    // A number at the top level ends with what follows it.
    body.bytes.push(b'\n');

    let (events, progress) = body.read_in_every_way(|chunks| scan(&mut Scanner::new(PATHS), chunks));

    let mut scanner = Scanner::new(PATHS);
    scan(&mut scanner, &mut body.chunks().take(2));
    scanner.restart();
    let again = scan(&mut scanner, &mut body.chunks());
    assert_eq!(again, (events.clone(), progress), "after a restart");

    let held = heap::peak(|| {
        for chunk in body.chunks() {
            scanner.feed(chunk, &mut |_, _| {});
        }
    });
    assert!(held <= MAX_STATE_BYTES, "{held} bytes held");

    // Nobody looks into values that nobody asked for, so more may pass, but never less.
    let mut blind = Scanner::new(NO_PATHS);
    blind.feed(&body.bytes, &mut |id, value| unreachable!("{id} {value:?}"));
    let blind = blind.progress();
    assert!(
        matches!(progress, Progress::Broken(_)) || blind == progress,
        "{blind:?} {progress:?}"
    );
    if let Some(is_json) = is_json(&body.bytes) {
        assert_eq!(blind == Progress::Complete, is_json, "{blind:?}");
    }

    if let Some(tree) = Tree::parse(&body.bytes) {
        assert_eq!(progress, Progress::Complete);
        let mut wanted = Vec::new();
        walk(&tree, &mut Vec::new(), &mut wanted);
        assert_eq!(events.len(), wanted.len(), "{events:?} {wanted:?}");
        for ((id, seen), (wanted_id, wanted)) in events.iter().zip(&wanted) {
            assert!(
                id == wanted_id && agree(seen, wanted),
                "{id} {seen:?}, not {wanted_id} {wanted:?}"
            );
        }
    }
}

fn scan(scanner: &mut Scanner<usize>, chunks: &mut dyn Iterator<Item = &[u8]>) -> (Vec<(usize, Seen)>, Progress) {
    let mut events = Vec::new();
    for chunk in chunks {
        scanner.feed(chunk, &mut |id, value| events.push((id, seen(value))));
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

fn agree(seen: &Seen, wanted: &Wanted) -> bool {
    match (seen, wanted) {
        (Seen::Digits(digits), Wanted::Number(number)) => {
            digits.is_empty() || serde_json::from_slice::<f64>(digits).is_ok_and(|read| read == *number)
        }
        (seen, Wanted::Seen(wanted)) => seen == wanted,
        _ => false,
    }
}

/// Every value of the document whose place is one of the paths.
fn walk<'a>(value: &'a Tree, place: &mut Vec<Step<'a>>, wanted: &mut Vec<(usize, Wanted)>) {
    let id = PATHS
        .iter()
        .copied()
        .flatten()
        .find(|path| is_at(path.segments, place))
        .map(|path| path.id);
    let mut add = |value| wanted.extend(id.map(|id| (id, value)));
    add(match value {
        Tree::Object(_) => Wanted::Seen(Seen::Object),
        Tree::List(_) => Wanted::Seen(Seen::Array),
        Tree::Text(text) => Wanted::Seen(Seen::Text(text.bytes().take(MAX_TEXT).collect())),
        Tree::Number(number) => Wanted::Number(*number),
        Tree::Bool(value) => Wanted::Seen(Seen::Bool(*value)),
        Tree::Null => Wanted::Seen(Seen::Null),
    });
    match value {
        Tree::Object(members) => {
            for (key, member) in members {
                place.push(Step::Key(key));
                walk(member, place, wanted);
                place.pop();
            }
        }
        Tree::List(elements) => {
            for element in elements {
                place.push(Step::Element);
                walk(element, place, wanted);
                place.pop();
            }
        }
        Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) => return,
    }
    wanted.extend(id.map(|id| (id, Wanted::Seen(Seen::End))));
}

/// One step down in a document.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Key(&'a str),
    Element,
}

fn is_at(segments: &[Segment], place: &[Step<'_>]) -> bool {
    segments.len() == place.len()
        && segments.iter().zip(place).all(|(seg, step)| match (seg, step) {
            (Segment::Key(key), Step::Key(name)) => key == name,
            (Segment::Each, Step::Element) => true,
            _ => false,
        })
}

const fn path(id: usize, segments: &'static [Segment]) -> Path<usize> {
    Path { id, segments }
}
