//! The readers of answers. Input: the API, the content type, the content coding, a body.

use std::ops::ControlFlow;

use infertally_filter::answer::{AnswerFacts, AnswerReader, StreamFacts};
use infertally_filter::json::MAX_TEXT;
use infertally_filter::route::Api;

use crate::MAX_STATE;
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
    assert!(held <= MAX_STATE, "{held} bytes held");

    if let Some(wanted) = kind.expected(&body.bytes) {
        assert_eq!(*at_end, wanted);
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
                facts.stream.is_none() || is_later(&known, &facts),
                "{known:?} {facts:?}"
            );
            known = facts;
        }
    }

    /// What the answer reports, by readers that keep all of it; `None` where they can't tell.
    fn expected(self, body: &[u8]) -> Option<AnswerFacts> {
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

    fn expected_of_document(self, body: &[u8]) -> Option<AnswerFacts> {
        let tree = Tree::parse(body)?;
        let (input_tokens, output_tokens) = tokens(
            &tree,
            &["prompt_tokens", "input_tokens"],
            &["completion_tokens", "output_tokens"],
        );
        let generates = !matches!(
            self.api,
            Api::Embeddings | Api::Rerank | Api::Score | Api::Pooling | Api::Classify
        );
        Some(AnswerFacts {
            model: model_of(&tree),
            input_tokens,
            output_tokens: output_tokens.filter(|_| generates),
            stream: None,
        })
    }
}

/// Whether `later` takes back nothing of `earlier`.
fn is_later(earlier: &AnswerFacts, later: &AnswerFacts) -> bool {
    let stays = |earlier: Option<u64>, later: Option<u64>| earlier.is_none() || later.is_some();
    let (before, after) = (earlier.stream.unwrap_or_default(), later.stream.unwrap_or_default());
    (earlier.model.is_none() || earlier.model == later.model)
        && stays(earlier.input_tokens, later.input_tokens)
        && stays(earlier.output_tokens, later.output_tokens)
        && before.error <= after.error
        && before.finished <= after.finished
        && before.ended <= after.ended
}

fn expected_of_stream(body: &[u8]) -> Option<AnswerFacts> {
    let mut facts = AnswerFacts::default();
    let mut stream = StreamFacts::default();
    for event in events(body) {
        if let ControlFlow::Break(()) = add_event(&mut facts, &mut stream, &event)? {
            break;
        }
    }
    facts.stream = Some(stream);
    Some(facts)
}

/// `None` where `serde_json` can't tell what the event says.
fn add_event(facts: &mut AnswerFacts, stream: &mut StreamFacts, event: &Event) -> Option<ControlFlow<()>> {
    stream.error |= event.name == b"error";
    if event.data.trim_ascii() == b"[DONE]" {
        stream.ended = true;
        return Some(ControlFlow::Break(()));
    }
    let tree = Tree::parse(&event.data)?;
    let (input, output) = tokens(&tree, &["prompt_tokens"], &["completion_tokens"]);
    facts.input_tokens = input.or(facts.input_tokens);
    facts.output_tokens = output.or(facts.output_tokens);
    if facts.model.is_none() {
        facts.model = model_of(&tree);
    }
    stream.error |= tree.members("error").any(|error| *error != Tree::Null);
    stream.error |= tree.members("object").any(|object| object.text() == Some("error"));
    stream.finished |= tree
        .members("choices")
        .flat_map(Tree::elements)
        .flat_map(|choice| choice.members("finish_reason"))
        .any(|reason| reason.text().is_some());
    Some(ControlFlow::Continue(()))
}

/// The tokens of the prompt and those that were generated, as the last `usage` has them under any of these names.
fn tokens(tree: &Tree, input: &[&str], output: &[&str]) -> (Option<u64>, Option<u64>) {
    let Some(Tree::Object(members)) = tree.members("usage").next_back() else {
        return (None, None);
    };
    let last = |names: &[&str]| {
        let value = members.iter().rev().find(|(name, _)| names.contains(&name.as_str()));
        value.and_then(|(_, value)| count(value))
    };
    (last(input), last(output))
}

fn count(value: &Tree) -> Option<u64> {
    let Tree::Number(number) = *value else { return None };
    (number.fract() == 0.0 && (0.0..=MAX_TOKENS).contains(&number)).then_some(number as u64)
}

fn has_long_number(body: &[u8]) -> bool {
    let outside = |byte: &u8| !matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
    body.split(outside).any(|run| run.len() > MAX_DIGITS)
}
