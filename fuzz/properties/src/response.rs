//! The readers of responses. Input: the API, the content type, the content coding and whether to apply it to what follows, a
//! body.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::Compression;
use flate2::read::{GzEncoder, ZlibEncoder};
use infertally_filter::exchange::{MAX_INFLATING_BYTES, MAX_STATE_BYTES};
use infertally_filter::json::MAX_TEXT;
use infertally_filter::response::{BodyState, JsonState, ResponseFacts, ResponseReader, StreamState, Usage};
use infertally_filter::route::Api;
use infertally_oracle::{api, response as oracle};

use crate::body::Body;
use crate::choices::Choices;
use crate::heap;
use crate::request::{APIS, CODINGS};

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
const INCOMPLETE: oracle::BodyState = oracle::BodyState::Document(oracle::DocumentState::Incomplete);

/// What decides how a response is read.
#[derive(Clone, Copy, Debug)]
struct Kind {
    api: Api,
    content_type: Option<&'static str>,
    coding: Option<&'static str>,
}

/// Panics if a property does not hold.
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

/// The bytes in this coding; `None` for a coding that the readers do not undo.
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
    /// The facts that every way to read the body gives.
    fn check(self, body: &Body) -> ResponseFacts {
        let facts = body.read_in_every_way(|chunks| self.read(chunks, false));
        // Bytes that the reader does not want make no difference.
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
            compare(&facts, wanted);
        }
        facts
    }

    fn is_plain(self) -> bool {
        self.coding
            .is_none_or(|coding| coding.is_empty() || coding.eq_ignore_ascii_case("identity"))
    }

    fn reader(self) -> ResponseReader {
        ResponseReader::new(
            self.api,
            self.content_type.map(str::as_bytes),
            self.coding.map(str::as_bytes),
        )
    }

    /// The facts after the last byte, and after the body's end.
    fn read(self, chunks: &mut dyn Iterator<Item = &[u8]>, only_wanted: bool) -> [ResponseFacts; 2] {
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

    /// A stream's facts are never withdrawn. A document's may be: bytes after a complete document show that it was none.
    fn facts_only_grow(self, body: &Body) {
        let mut reader = self.reader();
        let mut known = reader.facts();
        for chunk in body.chunks() {
            reader.feed(chunk);
            let facts = reader.facts();
            assert!(
                !matches!(facts.body, BodyState::Stream(_)) || is_later(&known, &facts),
                "{known:?} {facts:?}"
            );
            known = facts;
        }
    }

    /// The oracle's facts; `None` where it cannot decide, and in a coding, where it is stricter than the readers.
    fn expected(self, body: &[u8]) -> Option<oracle::ResponseFacts> {
        let api = match self.api {
            Api::Chat => api::Api::Chat,
            Api::Completions => api::Api::Completions,
            Api::Responses => api::Api::Responses,
            Api::Messages => api::Api::Messages,
            Api::Audio => api::Api::Audio,
            Api::Embeddings | Api::Rerank | Api::Score | Api::Pooling | Api::Classify => api::Api::Embeddings,
        };
        let facts = oracle::ResponseFacts::read(api, self.content_type, None, body);
        facts.ok().filter(|_| self.is_plain())
    }
}

/// Panics unless the filter's facts are the oracle's.
fn compare(facts: &ResponseFacts, wanted: oracle::ResponseFacts) {
    let ResponseFacts {
        model,
        usage,
        counted_output,
        finish_reasons,
        body,
    } = facts;
    let Usage {
        input,
        output,
        cached_input,
        reasoning_output,
        audio_seconds,
    } = *usage;
    let kept = |name: String| name.bytes().take(MAX_TEXT).collect::<Vec<_>>();
    assert_eq!(*model, wanted.model.map(kept));
    let usage = oracle::Usage {
        input,
        output,
        cached_input,
        reasoning_output,
        audio_seconds,
    };
    assert_eq!(usage, wanted.usage);
    assert_eq!(*counted_output, wanted.counted_output);
    let finish_reasons = finish_reasons
        .iter()
        .map(|(reason, count)| (reason.as_str(), count.into()));
    assert_eq!(finish_reasons.collect::<BTreeMap<_, u64>>(), wanted.finish_reasons);
    let body = match *body {
        BodyState::Unsupported => oracle::BodyState::Unreadable,
        BodyState::Encoded => oracle::BodyState::Encoded,
        BodyState::Json(JsonState::Complete) => oracle::BodyState::Document(oracle::DocumentState::Complete),
        // Inside a string that it keeps the scanner finds faults before the document's end.
        BodyState::Json(JsonState::Malformed) if wanted.body == INCOMPLETE => INCOMPLETE,
        BodyState::Json(JsonState::Malformed) => oracle::BodyState::Document(oracle::DocumentState::Malformed),
        BodyState::Json(JsonState::Incomplete) => INCOMPLETE,
        BodyState::Json(JsonState::Failed) => oracle::BodyState::Document(oracle::DocumentState::Failed),
        BodyState::Stream(StreamState {
            error,
            done,
            finished,
            malformed,
        }) => oracle::BodyState::Stream(oracle::StreamState {
            error,
            ended: done,
            finished,
            malformed,
        }),
    };
    assert_eq!(body, wanted.body);
}

/// Whether `later` withdraws nothing of `earlier`.
fn is_later(earlier: &ResponseFacts, later: &ResponseFacts) -> bool {
    let stays = |earlier: Option<u64>, later: Option<u64>| earlier.is_none() || later.is_some();
    let stream = |facts: &ResponseFacts| match facts.body {
        BodyState::Stream(stream) => stream,
        _ => StreamState::default(),
    };
    let (before, after) = (stream(earlier), stream(later));
    (earlier.model.is_none() || earlier.model == later.model)
        && stays(earlier.usage.input, later.usage.input)
        && stays(earlier.usage.output, later.usage.output)
        && stays(earlier.counted_output, later.counted_output)
        && earlier.finish_reasons.any() <= later.finish_reasons.any()
        && before.error <= after.error
        && before.done <= after.done
        && before.malformed <= after.malformed
}
