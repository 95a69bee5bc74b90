//! The readers of answers. Input: the API, the content type, the content coding and whether to encode what follows in
//! it, a body.

use std::io::Read;

use flate2::Compression;
use flate2::read::{GzEncoder, ZlibEncoder};
use infertally_filter::exchange::{MAX_INFLATING_BYTES, MAX_STATE_BYTES};
use infertally_filter::json::MAX_TEXT;
use infertally_filter::response::{BodyState, ResponseFacts, ResponseReader, StreamState};
use infertally_filter::route::Api;

use crate::body::Body;
use crate::choices::Choices;
use crate::expected::Expected;
use crate::heap;
use crate::request::APIS;

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
    fn check(self, body: &Body) -> ResponseFacts {
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

    fn reader(self) -> ResponseReader {
        ResponseReader::new(
            self.api,
            self.content_type.map(str::as_bytes),
            self.coding.map(str::as_bytes),
        )
    }

    /// What was known when the last byte was read, and when the body was over.
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

    /// A stream takes back nothing that it has said. (A document may: it says nothing before it is whole, but what
    /// follows may show that it was none.)
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

    /// What the answer reports, by readers that keep all of it; `None` where they can't tell.
    fn expected(self, body: &[u8]) -> Option<Expected> {
        let media_type = self
            .content_type
            .map(|value| value.split(';').next().unwrap_or(value).to_ascii_lowercase());
        match media_type.as_deref() {
            _ if !self.is_plain() => None,
            None | Some("application/json" | "application/problem+json") => Expected::of_document(self.api, body),
            Some("text/event-stream") => Expected::of_stream(self.api, body),
            Some(_) => None,
        }
    }
}

/// Whether `later` takes back nothing of `earlier`.
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
