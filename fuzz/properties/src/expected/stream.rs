//! The second readers of event streams, one for each API that has them.

use std::collections::{BTreeMap, BTreeSet};

use infertally_filter::response::{BodyState, StreamState, Usage};
use infertally_filter::route::Api;

use super::words::end_of_response;
use super::{Counts, Expected, count, parse};
use crate::events::{Event, events};
use crate::json::is_json;
use crate::request::name_of;
use crate::tree::Tree;

/// A choice of a higher number is counted as often as it says that it has ended.
const MAX_CHOICES: u64 = 1024;
/// Of one event no more reasons are kept.
const MAX_REASONS: usize = 1024;

/// What the events so far have said.
#[derive(Debug, Default)]
struct Stream {
    expected: Expected,
    facts: StreamState,
    /// The choices that have started.
    started: BTreeSet<u64>,
    /// The choices that have ended.
    ended: BTreeSet<u64>,
    /// The last counts of all choices.
    all: Counts,
    /// The last counts of each choice, from events with one choice.
    choices: BTreeMap<u16, Counts>,
    /// The event that ends a response was received.
    is_response_over: bool,
    /// The last counts of any choice: the prompt is the same for each.
    last: Counts,
}

impl Expected {
    /// `None` where `serde_json` can't tell what an event says, and for an API without streams.
    pub(crate) fn of_stream(api: Api, body: &[u8]) -> Option<Self> {
        let read: fn(&mut Stream, &Tree, &Event) = match api {
            Api::Chat | Api::Completions => Stream::chat,
            Api::Responses => Stream::responses,
            Api::Messages => Stream::messages,
            _ => return None,
        };
        let mut stream = Stream::default();
        for event in events(body) {
            stream.facts.error |= event.has_error || event.name == b"error";
            if is_blank(&event.data) {
                continue;
            }
            if event.data.trim_ascii() == b"[DONE]" {
                stream.facts.done = true;
            } else if is_json(&event.data) == Some(false) {
                stream.facts.malformed = true;
            } else {
                let tree = parse(&event.data)?;
                stream.facts.error |= tree.at(&["error"]).iter().any(|error| **error != Tree::Null);
                read(&mut stream, &tree, &event);
            }
            if stream.facts.done {
                break;
            }
        }
        stream.facts.finished = stream.is_finished(api);
        let Stream {
            mut expected,
            facts,
            all,
            choices,
            last,
            ..
        } = stream;
        expected.usage = match api {
            Api::Messages => all.of(api),
            _ => total(&all, &choices, &last),
        };
        expected.body = BodyState::Stream(facts);
        Some(expected)
    }
}

// === impl Stream ===

impl Stream {
    /// Every event has the model and parts of choices; one may have the usage of all.
    fn chat(&mut self, tree: &Tree, _: &Event) {
        self.facts.error |= tree.at(&["object"]).iter().any(|object| object.text() == Some("error"));
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
                self.expected.finish(Some(reason));
            }
        }
        for ids in choices().flat_map(|choice| choice.at(&["token_ids"])) {
            if let Tree::List(ids) = ids {
                *self.expected.counted_output.get_or_insert_default() += ids.len() as u64;
            }
        }
    }

    /// The events have the response as it stands; the last one has all of it.
    fn responses(&mut self, tree: &Tree, event: &Event) {
        self.model(tree, &["response", "model"]);
        self.all.update(Counts::read(tree.last(&["response", "usage"])));
        let reason = tree.last_text(&["response", "incomplete_details", "reason"]);
        let status = tree.last_text(&["response", "status"]);
        match kind(tree, event, |kind| kind == "error" || end_of_response(kind).is_some()) {
            Some("error") => self.facts.error = true,
            Some(kind) => {
                self.expected.finish(reason.or(status).or(end_of_response(kind)));
                self.facts.error |= kind == "response.failed";
                self.facts.done = true;
                self.is_response_over = true;
            }
            None => {}
        }
    }

    /// The first event has the message as it begins, whose output is no count yet; later ones have what comes to it.
    fn messages(&mut self, tree: &Tree, event: &Event) {
        self.model(tree, &["message", "model"]);
        self.all
            .update(Counts::read(tree.last(&["message", "usage"])).without_output());
        self.all.update(Counts::read(tree.last(&["usage"])));
        let reason = tree
            .at(&["delta", "stop_reason"])
            .last()
            .and_then(|reason| reason.text());
        if reason.is_some() && self.ended.insert(0) {
            self.expected.finish(reason);
        }
        let kind = kind(tree, event, |kind| matches!(kind, "error" | "message_stop"));
        self.facts.error |= kind == Some("error");
        self.facts.done |= kind == Some("message_stop");
    }

    /// Whether every choice that has started has ended; of one with a higher index that is not known.
    fn is_finished(&self, api: Api) -> bool {
        match api {
            Api::Chat | Api::Completions => {
                let known = self.started.iter().all(|index| *index < MAX_CHOICES);
                known && !self.started.is_empty() && self.started.is_subset(&self.ended)
            }
            Api::Responses => self.is_response_over,
            _ => !self.ended.is_empty(),
        }
    }

    /// The first event that names the model counts.
    fn model(&mut self, tree: &Tree, keys: &[&'static str]) {
        if self.expected.model.is_none() {
            self.expected.model = name_of(tree.last(keys));
        }
    }
}

/// More choices than this with output have no known sum.
const MAX_USAGE_CHOICES: usize = 128;

/// The counts of all choices where they are reported, else the sums over the choices; the prompt counts once.
fn total(all: &Counts, choices: &BTreeMap<u16, Counts>, last: &Counts) -> Usage {
    let (all, last) = (all.total(), last.total());
    let each = || choices.values().map(Counts::total);
    let reporting = each()
        .filter(|usage| usage.output.or(usage.reasoning_output).is_some())
        .count();
    let sum = |count: fn(&Usage) -> Option<u64>| {
        let known = reporting <= MAX_USAGE_CHOICES;
        each()
            .filter_map(|usage| count(&usage))
            .reduce(|sum, more| sum + more)
            .filter(|_| known)
    };
    Usage {
        input: all.input.or(last.input),
        cached_input: all.cached_input.or(last.cached_input),
        output: all.output.or(sum(|usage| usage.output)),
        reasoning_output: all.reasoning_output.or(sum(|usage| usage.reasoning_output)),
        audio_seconds: None,
    }
}

/// Whether an event has only white space, so that it is none of its API.
fn is_blank(data: &[u8]) -> bool {
    let data = data.strip_prefix("\u{feff}".as_bytes()).unwrap_or(data);
    data.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}

/// What the event is, if that `matters`: by its document, else by its name.
fn kind<'a>(tree: &'a Tree, event: &'a Event, matters: impl Fn(&str) -> bool) -> Option<&'a str> {
    let kinds = [tree.last_text(&["type"]), std::str::from_utf8(&event.name).ok()];
    kinds.into_iter().flatten().find(|kind| matters(kind))
}
