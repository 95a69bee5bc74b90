//! The readers of answers. Input: the API, the content type, the content coding and whether to encode what follows in
//! it, a body.

use std::io::Read;
use std::ops::ControlFlow;

use flate2::Compression;
use flate2::read::{GzEncoder, ZlibEncoder};
use infertally_filter::answer::{AnswerFacts, AnswerReader, JsonFacts, Reading, StreamFacts, Usage};
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

/// The three things that decide how an answer is read.
#[derive(Clone, Copy, Debug)]
struct Kind {
    api: Api,
    content_type: Option<&'static str>,
    coding: Option<&'static str>,
}

/// What an answer must report.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expected {
    model: Option<ModelName>,
    usage: Usage,
    /// Whether any choice has ended, where that is looked at.
    finished: Option<bool>,
    reading: Reading,
}

/// Panics if a reader breaks its word.
pub fn check(input: &[u8]) {
    let mut choices = Choices(input);
    let (Some(api), Some(content_type)) = (choices.pick(&APIS), choices.pick(&CONTENT_TYPES)) else {
        return;
    };
    let encodes = choices.0.first().is_some_and(|byte| byte & 0x80 != 0);
    let Some(coding) = choices.pick(&CODINGS) else { return };
    let kind = Kind {
        api,
        content_type,
        coding,
    };
    let body = Body::read(choices);
    if encodes {
        let plain = Kind { coding: None, ..kind };
        let facts = plain.check(&body);
        if let Some(encoded) = body.changed(|bytes| encode(coding, bytes)) {
            assert_eq!(kind.check(&encoded), facts, "{coding:?}");
        }
    } else {
        kind.check(&body);
    }
}

/// The bytes in this coding; `None` where the readers don't undo it.
fn encode(coding: Option<&str>, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoded = Vec::new();
    match coding {
        Some("gzip") => GzEncoder::new(bytes, Compression::fast()).read_to_end(&mut encoded),
        Some("deflate") => ZlibEncoder::new(bytes, Compression::fast()).read_to_end(&mut encoded),
        _ => return None,
    }
    .ok()?;
    Some(encoded)
}

// === impl Kind ===

impl Kind {
    /// What the answer reports.
    fn check(self, body: &Body) -> AnswerFacts {
        let facts = body.read_in_every_way(|chunks| self.read(chunks, false));
        // What is not wanted makes no difference.
        assert_eq!(body.read_in_every_way(|chunks| self.read(chunks, true)), facts);

        let [so_far, facts] = facts;
        assert!(
            facts
                .model
                .as_ref()
                .is_none_or(|name| (1..=MAX_TEXT).contains(&name.len()))
        );
        assert!(is_later(&so_far, &facts), "{so_far:?} {facts:?}");
        self.facts_only_grow(body);

        let held = heap::peak(|| {
            let mut reader = self.reader();
            for chunk in body.chunks() {
                reader.feed(chunk);
            }
            reader.finish();
        });
        let cap = if self.is_plain() {
            MAX_STATE_BYTES
        } else {
            MAX_INFLATING_BYTES
        };
        assert!(held <= cap, "{held} bytes held");

        if let Some(wanted) = self.expected(&body.bytes) {
            wanted.check(&facts);
        }
        facts
    }

    fn is_plain(self) -> bool {
        self.coding
            .is_none_or(|coding| coding.is_empty() || coding.eq_ignore_ascii_case("identity"))
    }

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
    fn expected(self, body: &[u8]) -> Option<Expected> {
        let media_type = self
            .content_type
            .map(|value| value.split(';').next().unwrap_or(value).to_ascii_lowercase());
        let chat = matches!(self.api, Api::Chat | Api::Completions);
        if !self.is_plain() || has_long_number(body) {
            return None;
        }
        match media_type.as_deref() {
            None | Some("application/json" | "application/problem+json") => self.expected_of_document(body),
            Some("text/event-stream") if chat => expected_of_stream(body),
            _ => None,
        }
    }

    fn expected_of_document(self, body: &[u8]) -> Option<Expected> {
        let tree = Tree::parse(body).filter(|tree| !matches!(tree, Tree::Number(_)))?;
        let mut usage = usage(&tree);
        if matches!(
            self.api,
            Api::Embeddings | Api::Rerank | Api::Score | Api::Pooling | Api::Classify
        ) {
            usage.output = None;
            usage.reasoning_output = None;
        }
        Some(Expected {
            model: model_of(&tree),
            usage,
            finished: None,
            reading: Reading::Json(JsonFacts::Whole),
        })
    }
}

// === impl Expected ===

impl Expected {
    fn check(&self, facts: &AnswerFacts) {
        let Self {
            model,
            usage,
            finished,
            reading,
        } = self;
        assert_eq!(facts.model, *model);
        assert_eq!(facts.usage, *usage);
        assert_eq!(facts.reading, *reading);
        assert!(
            finished.is_none_or(|finished| finished == facts.finish_reasons.any()),
            "{facts:?}"
        );
    }
}

/// Whether `later` takes back nothing of `earlier`.
fn is_later(earlier: &AnswerFacts, later: &AnswerFacts) -> bool {
    let stays = |earlier: Option<u64>, later: Option<u64>| earlier.is_none() || later.is_some();
    let stream = |facts: &AnswerFacts| match facts.reading {
        Reading::Stream(stream) => stream,
        _ => StreamFacts::default(),
    };
    let (before, after) = (stream(earlier), stream(later));
    (earlier.model.is_none() || earlier.model == later.model)
        && stays(earlier.usage.input, later.usage.input)
        && stays(earlier.usage.output, later.usage.output)
        && stays(earlier.counted_output, later.counted_output)
        && earlier.finish_reasons.any() <= later.finish_reasons.any()
        && before.error <= after.error
        && before.ended <= after.ended
        && before.broken <= after.broken
}

fn expected_of_stream(body: &[u8]) -> Option<Expected> {
    let mut expected = Expected {
        model: None,
        usage: Usage::default(),
        finished: Some(false),
        reading: Reading::Unreadable,
    };
    let mut stream = StreamFacts::default();
    for event in events(body) {
        if let ControlFlow::Break(()) = expected.add_event(&mut stream, &event)? {
            break;
        }
    }
    expected.reading = Reading::Stream(stream);
    Some(expected)
}

impl Expected {
    /// `None` where `serde_json` can't tell what the event says.
    fn add_event(&mut self, stream: &mut StreamFacts, event: &Event) -> Option<ControlFlow<()>> {
        stream.error |= event.name == b"error";
        if event.data.trim_ascii() == b"[DONE]" {
            stream.ended = true;
            return Some(ControlFlow::Break(()));
        }
        let tree = Tree::parse(&event.data).filter(|tree| !matches!(tree, Tree::Number(_)))?;
        let later = usage(&tree);
        self.usage = Usage {
            input: later.input.or(self.usage.input),
            output: later.output.or(self.usage.output),
            cached_input: later.cached_input.or(self.usage.cached_input),
            reasoning_output: later.reasoning_output.or(self.usage.reasoning_output),
        };
        if self.model.is_none() {
            self.model = model_of(&tree);
        }
        stream.error |= tree.members("error").any(|error| *error != Tree::Null);
        stream.error |= tree.members("object").any(|object| object.text() == Some("error"));
        let choices = tree.members("choices").flat_map(Tree::elements);
        let mut reasons = choices.filter_map(|choice| choice.members("finish_reason").next_back()?.text());
        self.finished = self.finished.map(|finished| finished || reasons.next().is_some());
        Some(ControlFlow::Continue(()))
    }
}

/// The last `usage`, in which each number bears any of the names that the APIs have for it.
fn usage(tree: &Tree) -> Usage {
    let mut usage = Usage::default();
    let Some(Tree::Object(members)) = tree.members("usage").next_back() else {
        return usage;
    };
    let inside = |value: &Tree, key| value.members(key).next_back().and_then(count);
    for (key, value) in members {
        match key.as_str() {
            "prompt_tokens" | "input_tokens" => usage.input = count(value),
            "completion_tokens" | "output_tokens" => usage.output = count(value),
            "cache_read_input_tokens" => usage.cached_input = count(value),
            "prompt_tokens_details" | "input_tokens_details" => usage.cached_input = inside(value, "cached_tokens"),
            "completion_tokens_details" | "output_tokens_details" => {
                usage.reasoning_output = inside(value, "reasoning_tokens");
            }
            _ => {}
        }
    }
    usage
}

fn count(value: &Tree) -> Option<u64> {
    let Tree::Number(number) = *value else { return None };
    (number.fract() == 0.0 && (0.0..=MAX_TOKENS).contains(&number)).then_some(number as u64)
}

fn has_long_number(body: &[u8]) -> bool {
    let outside = |byte: &u8| !matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
    body.split(outside).any(|run| run.len() > MAX_DIGITS)
}
