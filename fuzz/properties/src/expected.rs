//! What an answer reports, by second readers that keep all of it as trees: written from the APIs' own words, and what the
//! filter's readers are held against. They know no chunk, no cap but those that change a value, and no state of a scanner.

mod stream;
mod words;

use std::collections::BTreeMap;

use infertally_filter::request::ModelName;
use infertally_filter::response::{BodyState, JsonState, ResponseFacts, Usage};
use infertally_filter::route::Api;

use crate::request::name_of;
use crate::tree::Tree;
use words::finish_reason;

/// More tokens than any answer has; a number above it is none.
const MAX_TOKENS: f64 = u32::MAX as f64;
/// A number that is written longer is not kept.
const MAX_DIGITS: usize = 64;

/// What an answer must report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    model: Option<ModelName>,
    usage: Usage,
    counted_output: Option<u64>,
    /// How many choices ended for each reason.
    finish_reasons: BTreeMap<&'static str, u32>,
    body: BodyState,
}

// === impl Expected ===

impl Expected {
    /// `None` where `serde_json` can't tell what the document says.
    pub(crate) fn of_document(api: Api, body: &[u8]) -> Option<Self> {
        let tree = parse(body)?;
        let mut expected = Self {
            model: name_of(tree.last(&["model"])),
            usage: Counts::read(tree.last(&["usage"])).of(api),
            body: BodyState::Json(if has_failed(api, &tree) {
                JsonState::Failed
            } else {
                JsonState::Complete
            }),
            ..Self::default()
        };
        match api {
            Api::Chat | Api::Completions => {
                for choice in tree.last(&["choices"]).map(Tree::elements).unwrap_or_default() {
                    expected.finish(choice.last_text(&["finish_reason"]));
                }
            }
            Api::Responses => {
                let ended = |status: &&str| !matches!(*status, "in_progress" | "queued");
                let status = tree.last_text(&["status"]).filter(ended);
                expected.finish(tree.last_text(&["incomplete_details", "reason"]).or(status));
            }
            Api::Messages => expected.finish(tree.last_text(&["stop_reason"])),
            Api::Audio => {}
            Api::Embeddings | Api::Rerank | Api::Score | Api::Pooling | Api::Classify => {
                expected.usage.output = None;
                expected.usage.reasoning_output = None;
            }
        }
        Some(expected)
    }

    /// A choice ended for this reason, if that is one.
    fn finish(&mut self, word: Option<&str>) {
        if let Some(word) = word {
            *self.finish_reasons.entry(finish_reason(word)).or_default() += 1;
        }
    }

    /// Panics if that is not what was read.
    pub(crate) fn check(&self, facts: &ResponseFacts) {
        let ResponseFacts {
            model,
            usage,
            counted_output,
            finish_reasons,
            body,
        } = facts;
        let seen = Self {
            model: model.clone(),
            usage: *usage,
            counted_output: *counted_output,
            finish_reasons: finish_reasons
                .iter()
                .map(|(reason, count)| (reason.as_str(), count))
                .collect(),
            body: *body,
        };
        assert_eq!(seen, *self);
    }
}

/// Whether a document reports that its request failed.
fn has_failed(api: Api, tree: &Tree) -> bool {
    matches!(tree.last(&["error"]), Some(Tree::Object(_)))
        || (api == Api::Responses && tree.last_text(&["status"]) == Some("failed"))
}

/// A tree, unless it is a number alone: that is whole only when more follows.
fn parse(document: &[u8]) -> Option<Tree> {
    // A number of more digits than anybody keeps is none, whatever its value.
    let outside = |byte: &u8| !matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
    if document.split(outside).any(|run| run.len() > MAX_DIGITS) {
        return None;
    }
    Tree::parse(document).filter(|tree| !matches!(tree, Tree::Number(_)))
}

/// The counts of a usage object, by the names that the APIs have for them.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    input: Option<u64>,
    output: Option<u64>,
    cached_details: Option<u64>,
    cache_read: Option<u64>,
    cache_creation: Option<u64>,
    reasoning_details: Option<u64>,
    reasoning: Option<u64>,
    is_duration: bool,
    seconds: Option<u64>,
}

// === impl Counts ===

impl Counts {
    fn read(object: Option<&Tree>) -> Self {
        let mut counts = Self::default();
        let Some(Tree::Object(members)) = object else {
            return counts;
        };
        let inside = |value: &Tree, key| value.last(&[key]).and_then(count);
        for (key, value) in members {
            match key.as_str() {
                "prompt_tokens" | "input_tokens" => counts.input = count(value),
                "completion_tokens" | "output_tokens" => counts.output = count(value),
                "cache_read_input_tokens" => counts.cache_read = count(value),
                "cache_creation_input_tokens" => counts.cache_creation = count(value),
                "type" => counts.is_duration = value.text() == Some("duration"),
                "seconds" => counts.seconds = seconds(value),
                "reasoning_tokens" => counts.reasoning = count(value),
                "prompt_tokens_details" | "input_tokens_details" => {
                    counts.cached_details = inside(value, "cached_tokens")
                }
                "completion_tokens_details" | "output_tokens_details" => {
                    counts.reasoning_details = inside(value, "reasoning_tokens");
                }
                _ => {}
            }
        }
        counts
    }

    /// Of each count the last one that is reported stays.
    fn update(&mut self, later: Self) {
        *self = Self {
            input: later.input.or(self.input),
            output: later.output.or(self.output),
            cached_details: later.cached_details.or(self.cached_details),
            cache_read: later.cache_read.or(self.cache_read),
            cache_creation: later.cache_creation.or(self.cache_creation),
            reasoning_details: later.reasoning_details.or(self.reasoning_details),
            reasoning: later.reasoning.or(self.reasoning),
            ..*self
        };
    }

    fn without_output(self) -> Self {
        Self {
            output: None,
            reasoning_details: None,
            reasoning: None,
            ..self
        }
    }

    /// In Messages, what was read from the cache and written to it is no part of the input.
    fn of(&self, api: Api) -> Usage {
        let usage = self.total();
        if api != Api::Messages {
            return usage;
        }
        let cache = self.cache_read.unwrap_or(0) + self.cache_creation.unwrap_or(0);
        Usage {
            input: usage.input.map(|input| input + cache),
            ..usage
        }
    }

    fn total(&self) -> Usage {
        Usage {
            input: self.input,
            output: self.output,
            cached_input: self.cached_details.or(self.cache_read),
            reasoning_output: self.reasoning_details.or(self.reasoning),
            audio_seconds: self.seconds.filter(|_| self.is_duration),
        }
    }
}

/// A fraction is rounded up.
fn seconds(value: &Tree) -> Option<u64> {
    let Tree::Number(number) = *value else { return None };
    (0.0..=MAX_TOKENS).contains(&number).then_some(number.ceil() as u64)
}

fn count(value: &Tree) -> Option<u64> {
    let Tree::Number(number) = *value else { return None };
    (number.fract() == 0.0 && (0.0..=MAX_TOKENS).contains(&number)).then_some(number as u64)
}
