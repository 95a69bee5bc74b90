//! Responses that are event streams, in the form of each API that has them.

use std::collections::{BTreeMap, BTreeSet};

use super::usage::{Counts, count};
use super::{BodyState, ResponseFacts, StreamState, Usage};
use crate::Undecidable;
use crate::api::Api;
use crate::json::Document;
use crate::sse::{Event, events};
use crate::tree::Tree;
use crate::words::end_of_response;

/// A choice of a higher index has each of its finish reasons counted, not only the first.
const MAX_CHOICES: u64 = 1024;
/// Finish reasons of one event beyond this are dropped.
const MAX_REASONS: usize = 1024;

/// The output of a stream in which more choices than this report usage one by one is unknown.
const MAX_USAGE_CHOICES: usize = 128;

/// What the events have reported so far.
#[derive(Debug, Default)]
struct Stream {
    facts: ResponseFacts,
    state: StreamState,
    /// The choices that have ended.
    ended: BTreeSet<u64>,
    /// The choices that have started.
    started: BTreeSet<u64>,
    /// The last counts of all choices.
    all: Counts,
    /// The last counts of each choice, from events with one choice.
    choices: BTreeMap<u16, Counts>,
    /// The last counts of any choice: the prompt is the same for each.
    last: Counts,
}

/// Reads events up to the end marker.
pub(super) fn read(api: Api, body: &[u8]) -> Result<ResponseFacts, Undecidable> {
    let mut stream = Stream::default();
    for event in events(body) {
        stream.state.error |= event.has_error || event.name == b"error";
        if is_blank(&event.data) {
            continue;
        }
        if event.data.trim_ascii() == b"[DONE]" {
            stream.state.ended = true;
        } else {
            match Document::parse(&event.data)? {
                Document::Complete(tree) => stream.read(api, &tree, &event),
                Document::Incomplete | Document::Malformed => stream.state.malformed = true,
            }
        }
        if stream.state.ended {
            break;
        }
    }
    stream.state.finished = stream.is_finished(api);
    stream.facts.usage = stream.usage(api);
    let Stream { mut facts, state, .. } = stream;
    facts.body = BodyState::Stream(state);
    Ok(facts)
}

// === impl Stream ===

impl Stream {
    fn read(&mut self, api: Api, tree: &Tree, event: &Event) {
        self.state.error |= tree.at(&["error"]).iter().any(|error| **error != Tree::Null);
        match api {
            Api::Chat | Api::Completions => self.chat(tree),
            Api::Responses => self.responses(tree, event),
            Api::Messages => self.messages(tree, event),
            // Their responses are no event streams.
            Api::Audio | Api::Embeddings => {}
        }
    }

    /// Every event has the model and parts of choices; one may have the usage of all choices.
    fn chat(&mut self, tree: &Tree) {
        self.state.error |= tree.at(&["object"]).iter().any(|object| object.text() == Some("error"));
        self.model(tree, &["model"]);
        let counts = Counts::read(tree.last(&["usage"]));
        match tree.last(&["choices"]).map(Tree::elements).unwrap_or_default() {
            [choice] => {
                let index = choice.last(&["index"]).and_then(count).unwrap_or_default();
                let index = u16::try_from(index).unwrap_or(u16::MAX);
                self.last.update(counts);
                self.choices.entry(index).or_default().update(counts);
            }
            _ => self.all.update(counts),
        }
        let lists = tree.at(&["choices"]);
        let choices = || lists.iter().flat_map(|list| list.elements());
        for choice in choices().take(MAX_REASONS) {
            self.started
                .insert(choice.last(&["index"]).and_then(count).unwrap_or_default());
        }
        let reasons = choices().filter_map(|choice| Some((choice, choice.last_text(&["finish_reason"])?)));
        for (choice, reason) in reasons.take(MAX_REASONS) {
            let index = choice.last(&["index"]).and_then(count).unwrap_or_default();
            if index >= MAX_CHOICES || self.ended.insert(index) {
                self.facts.finish(Some(reason));
            }
        }
        for ids in choices().flat_map(|choice| choice.at(&["token_ids"])) {
            if let Tree::List(ids) = ids {
                *self.facts.counted_output.get_or_insert_default() += ids.len() as u64;
            }
        }
    }

    /// Events have the response so far; the last one has all of it.
    fn responses(&mut self, tree: &Tree, event: &Event) {
        self.model(tree, &["response", "model"]);
        self.all.update(Counts::read(tree.last(&["response", "usage"])));
        let reason = tree.last_text(&["response", "incomplete_details", "reason"]);
        let status = tree.last_text(&["response", "status"]);
        match kind(tree, event, |kind| kind == "error" || end_of_response(kind).is_some()) {
            Some("error") => self.state.error = true,
            Some(kind) => {
                self.facts.finish(reason.or(status).or(end_of_response(kind)));
                self.state.error |= kind == "response.failed";
                self.state.ended = true;
                self.state.finished = true;
            }
            None => {}
        }
    }

    /// The first event has the message as it starts, whose output is a placeholder; later events have deltas.
    fn messages(&mut self, tree: &Tree, event: &Event) {
        self.model(tree, &["message", "model"]);
        let start = Counts::read(tree.last(&["message", "usage"]));
        self.all.update(start.of_start());
        self.all.update(Counts::read(tree.last(&["usage"])));
        let reason = tree.last_text(&["delta", "stop_reason"]);
        if reason.is_some() && self.ended.insert(0) {
            self.facts.finish(reason);
        }
        let kind = kind(tree, event, |kind| matches!(kind, "error" | "message_stop"));
        self.state.error |= kind == Some("error");
        self.state.ended |= kind == Some("message_stop");
    }

    /// Whether every choice that has started has ended. Of a choice with a higher index than is kept that is not known.
    fn is_finished(&self, api: Api) -> bool {
        match api {
            Api::Chat | Api::Completions => {
                let are_known = self.started.iter().all(|index| *index < MAX_CHOICES);
                are_known && !self.started.is_empty() && self.started.is_subset(&self.ended)
            }
            Api::Messages => !self.ended.is_empty(),
            Api::Responses | Api::Audio | Api::Embeddings => self.state.finished,
        }
    }

    /// The counts of all choices where they are reported, else the sums over the choices.
    fn usage(&self, api: Api) -> Usage {
        let (all, last) = (self.all.usage(api), self.last.usage(api));
        let each = || self.choices.values().map(|counts| counts.usage(api));
        let reporting = each().filter(|usage| usage.output.or(usage.reasoning_output).is_some());
        let is_known = reporting.count() <= MAX_USAGE_CHOICES;
        let sum = |count: fn(&Usage) -> Option<u64>| {
            let sum = each().filter_map(|usage| count(&usage)).reduce(|sum, more| sum + more);
            sum.filter(|_| is_known)
        };
        Usage {
            input: all.input.or(last.input),
            output: all.output.or(sum(|usage| usage.output)),
            cached_input: all.cached_input.or(last.cached_input),
            reasoning_output: all.reasoning_output.or(sum(|usage| usage.reasoning_output)),
            audio_seconds: None,
        }
    }

    /// The first event that names the model counts.
    fn model(&mut self, tree: &Tree, keys: &[&'static str]) {
        if self.facts.model.is_none() {
            self.facts.model = tree.last_name(keys);
        }
    }
}

/// Whether the data of an event is only white space: such an event means nothing.
fn is_blank(data: &[u8]) -> bool {
    let data = data.strip_prefix("\u{feff}".as_bytes()).unwrap_or(data);
    data.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}

/// The kind of an event, if it `matters`: by its document, else by its name.
fn kind<'a>(tree: &'a Tree, event: &'a Event, matters: impl Fn(&str) -> bool) -> Option<&'a str> {
    let kinds = [tree.last_text(&["type"]), std::str::from_utf8(&event.name).ok()];
    kinds.into_iter().flatten().find(|kind| matters(kind))
}
