//! The readers of answers. Input: the API, the content type, the content coding, a body.

use std::ops::ControlFlow;

use infertally_filter::answer::{AnswerFacts, AnswerReader, Reading, StreamFacts};
use infertally_filter::exchange::{MAX_INFLATING_BYTES, MAX_STATE_BYTES};
use infertally_filter::json::MAX_TEXT;
use infertally_filter::request::ModelName;
use infertally_filter::route::Api;

use crate::body::Body;
use crate::choices::Choices;
use crate::events::{Event, events};
use crate::heap;
use crate::request::{APIS, model_of};
use crate::tree::Tree;

/// Chosen by a byte.
pub(crate) const CONTENT_TYPES: [Option<&str>; 8] = [
    Some("application/json"),
    Some("text/event-stream; charset=utf-8"),
    None,
    Some("Text/Event-Stream"),
    Some("application/problem+json;charset=utf-8"),
    Some("text/plain"),
    Some(";"),
    Some("application/x-ndjson"),
];
/// Chosen by a byte.
pub(crate) const CODINGS: [Option<&str>; 8] = [
    None,
    Some("gzip"),
    Some("br"),
    Some("deflate"),
    Some("zstd"),
    Some("Identity"),
    Some("gzip, br"),
    Some(""),
];
/// More tokens than any answer has; a number above it is none.
const MAX_TOKENS: f64 = u32::MAX as f64;
/// A number that is written longer is not kept.
const MAX_DIGITS: usize = 64;

/// What readers that keep all of an answer can tell of it.
#[derive(Debug, Default, PartialEq)]
struct Told {
    model: Option<ModelName>,
    input: Option<u64>,
    output: Option<u64>,
    /// Of a stream: an error, a finish reason, its end.
    stream: Option<(bool, bool, bool)>,
}

/// The three things that decide how an answer is read.
#[derive(Clone, Copy, Debug)]
struct Kind {
    api: Api,
    content_type: Option<&'static str>,
    coding: Option<&'static str>,
}

/// Panics if a reader breaks its word.
pub fn check(input: &[u8]) {
    let mut choices = Choices(input);
    let (Some(api), Some(content_type), Some(coding)) = (
        choices.pick(&APIS),
        choices.pick(&CONTENT_TYPES),
        choices.pick(&CODINGS),
    ) else {
        return;
    };
    let kind = Kind {
        api,
        content_type,
        coding,
    };
    let body = Body::read(choices);

    let facts = body.read_in_every_way(|chunks| kind.read(chunks, false));
    // What is not wanted makes no difference.
    assert_eq!(body.read_in_every_way(|chunks| kind.read(chunks, true)), facts);

    let [so_far, at_end] = &facts;
    assert!(
        at_end
            .model
            .as_ref()
            .is_none_or(|name| (1..=MAX_TEXT).contains(&name.len()))
    );
    assert!(is_later(so_far, at_end), "{so_far:?} {at_end:?}");
    kind.facts_only_grow(&body);

    let held = heap::peak(|| {
        let mut reader = kind.reader();
        for chunk in body.chunks() {
            reader.feed(chunk);
        }
        reader.finish();
    });
    let inflates = matches!(kind.coding, Some("gzip" | "deflate"));
    let limit = if inflates { MAX_INFLATING_BYTES } else { MAX_STATE_BYTES };
    assert!(held <= limit, "{held} bytes held");

    if let Some(wanted) = kind.expected(&body.bytes) {
        assert_eq!(Told::of(at_end), wanted);
    }
}

// === impl Kind ===

impl Kind {
    fn reader(self) -> AnswerReader {
        AnswerReader::new(
            self.api,
            self.content_type.map(str::as_bytes),
            self.coding.map(str::as_bytes),
        )
    }

    /// What was known when the last byte was read, and when the body was over.
    fn read(self, chunks: &mut dyn Iterator<Item = &[u8]>, only_wanted: bool) -> [AnswerFacts; 2] {
        let mut reader = self.reader();
        for chunk in chunks {
            if !only_wanted || reader.wants_more() {
                reader.feed(chunk);
            }
        }
        let so_far = reader.facts();
        reader.finish();
        [so_far, reader.facts()]
    }

    /// A stream takes back nothing that it has said. (A document may: it says nothing before it is whole, but what
    /// follows may show that it was none.)
    fn facts_only_grow(self, body: &Body) {
        let mut reader = self.reader();
        let mut known = reader.facts();
        for chunk in body.chunks() {
            reader.feed(chunk);
            let facts = reader.facts();
            assert!(
                !matches!(facts.reading, Reading::Stream(_)) || is_later(&known, &facts),
                "{known:?} {facts:?}"
            );
            known = facts;
        }
    }

    /// What the answer reports, by readers that keep all of it; `None` where they can't tell.
    fn expected(self, body: &[u8]) -> Option<Told> {
        let plain = self.coding.is_none_or(|coding| coding.eq_ignore_ascii_case("identity"));
        let media_type = self
            .content_type
            .map(|value| value.split(';').next().unwrap_or(value).to_ascii_lowercase());
        let chat = matches!(self.api, Api::Chat | Api::Completions);
        if !plain || has_long_number(body) {
            return None;
        }
        match media_type.as_deref() {
            None | Some("application/json" | "application/problem+json") => self.expected_of_document(body),
            Some("text/event-stream") if chat => expected_of_stream(body),
            _ => None,
        }
    }

    fn expected_of_document(self, body: &[u8]) -> Option<Told> {
        let tree = Tree::parse(body)?;
        let (input, output) = tokens(&tree);
        let generates = !matches!(
            self.api,
            Api::Embeddings | Api::Rerank | Api::Score | Api::Pooling | Api::Classify
        );
        let output = output.filter(|_| generates);
        Some(Told {
            model: model_of(&tree),
            input,
            output,
            stream: None,
        })
    }
}

// === impl Told ===

impl Told {
    fn of(facts: &AnswerFacts) -> Self {
        let stream = match facts.reading {
            Reading::Stream(StreamFacts {
                error,
                ended,
                broken: _,
            }) => Some((error, facts.finish_reasons.any(), ended)),
            Reading::Json(_) | Reading::Encoded | Reading::Unreadable => None,
        };
        Self {
            model: facts.model.clone(),
            input: facts.usage.input,
            output: facts.usage.output,
            stream,
        }
    }
}

/// Whether `later` takes back nothing of `earlier`.
fn is_later(earlier: &AnswerFacts, later: &AnswerFacts) -> bool {
    let stays = |earlier: Option<u64>, later: Option<u64>| earlier.is_none() || later.is_some();
    let (before, after) = (Told::of(earlier), Told::of(later));
    let (error, finished, ended) = before.stream.unwrap_or_default();
    let (error_after, finished_after, ended_after) = after.stream.unwrap_or_default();
    (before.model.is_none() || before.model == after.model)
        && stays(before.input, after.input)
        && stays(before.output, after.output)
        && stays(earlier.counted_output, later.counted_output)
        && error <= error_after
        && finished <= finished_after
        && ended <= ended_after
}

fn expected_of_stream(body: &[u8]) -> Option<Told> {
    let mut told = Told::default();
    let mut stream = (false, false, false);
    for event in events(body) {
        if let ControlFlow::Break(()) = add_event(&mut told, &mut stream, &event)? {
            break;
        }
    }
    told.stream = Some(stream);
    Some(told)
}

/// `None` where `serde_json` can't tell what the event says.
fn add_event(told: &mut Told, stream: &mut (bool, bool, bool), event: &Event) -> Option<ControlFlow<()>> {
    let (error, finished, ended) = stream;
    *error |= event.name == b"error";
    if event.data.trim_ascii() == b"[DONE]" {
        *ended = true;
        return Some(ControlFlow::Break(()));
    }
    let tree = Tree::parse(&event.data)?;
    let (input, output) = tokens(&tree);
    told.input = input.or(told.input);
    told.output = output.or(told.output);
    if told.model.is_none() {
        told.model = model_of(&tree);
    }
    *error |= tree.members("error").any(|error| *error != Tree::Null);
    *error |= tree.members("object").any(|object| object.text() == Some("error"));
    // Of several equal keys the last one counts.
    *finished |= tree
        .members("choices")
        .flat_map(Tree::elements)
        .filter_map(|choice| choice.members("finish_reason").next_back())
        .any(|reason| reason.text().is_some());
    Some(ControlFlow::Continue(()))
}

/// The tokens of the prompt and those that were generated, as the last `usage` has them under any of their names.
fn tokens(tree: &Tree) -> (Option<u64>, Option<u64>) {
    let Some(Tree::Object(members)) = tree.members("usage").next_back() else {
        return (None, None);
    };
    let last = |names: [&str; 2]| {
        let value = members.iter().rev().find(|(name, _)| names.contains(&name.as_str()));
        value.and_then(|(_, value)| count(value))
    };
    (
        last(["prompt_tokens", "input_tokens"]),
        last(["completion_tokens", "output_tokens"]),
    )
}

fn count(value: &Tree) -> Option<u64> {
    let Tree::Number(number) = *value else { return None };
    (number.fract() == 0.0 && (0.0..=MAX_TOKENS).contains(&number)).then_some(number as u64)
}

fn has_long_number(body: &[u8]) -> bool {
    let outside = |byte: &u8| !matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
    body.split(outside).any(|run| run.len() > MAX_DIGITS)
}
