//! The reader of SSE streams whose events are JSON documents, generic over the [`Dialect`] of the API.
//!
//! Invariant: an event changes the facts only as a whole, when its document is complete. A truncated or malformed event
//! contributes nothing, and neither does anything after the end marker.

use std::fmt::Debug;

use super::field::Field;
use super::usage::ReportedUsage;
use super::{BodyState, FinishReasons, ResponseFacts, StreamState, Usage};
use crate::json::{Paths, Progress, Scanner, Value};
use crate::request::ModelName;
use crate::sse::{Parser, Piece};

/// The data of the last event of a chat or completions stream.
const END_MARKER: &[u8] = b"[DONE]";

/// The events of one API.
pub(super) trait Dialect: Debug + Default {
    /// The paths of the values to extract.
    const PATHS: &'static Paths<Field>;
    /// The values of an event beside model, usage and error, which all APIs share.
    type Event: Debug + Default;
    /// Reads one value of the current event.
    fn read(event: &mut Self::Event, field: Field, value: Value<'_>);
    /// Applies a complete event and its usage. `name` is the value of its `event` field, or empty.
    fn commit(&mut self, event: Self::Event, usage: ReportedUsage, name: &[u8], totals: &mut Totals);
    /// Whether every choice that has started has its finish reason.
    fn is_finished(&self) -> bool;
    /// The usage of the whole response.
    fn usage(&self, totals: &Totals) -> Usage {
        totals.usage.total()
    }
}

/// What the complete events of a stream have reported.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) model: Option<ModelName>,
    /// Usage is cumulative: the last reported value replaces earlier ones.
    pub(super) usage: ReportedUsage,
    pub(super) counted_output: Option<u64>,
    pub(super) finish_reasons: FinishReasons,
    pub(super) state: StreamState,
}

/// The reader of one SSE stream.
#[derive(Debug)]
pub(super) struct EventReader<D: Dialect> {
    parser: Parser,
    events: Events<D>,
}

#[derive(Debug)]
struct Events<D: Dialect> {
    scanner: Scanner<Field>,
    dialect: D,
    event: Event<D::Event>,
    marker: DoneMarker,
    totals: Totals,
}

/// The values of the current event.
#[derive(Debug, Default)]
struct Event<E> {
    model: Option<ModelName>,
    usage: ReportedUsage,
    error: bool,
    dialect: E,
}

/// Matches an event's data against [`END_MARKER`], ignoring white space around it.
#[derive(Debug, Default)]
struct DoneMarker {
    matched: usize,
    /// White space followed the first matched byte: only white space may follow.
    trailing: bool,
    mismatch: bool,
}

// === impl EventReader ===

impl<D: Dialect> Default for EventReader<D> {
    fn default() -> Self {
        let events = Events {
            scanner: Scanner::new(D::PATHS),
            dialect: D::default(),
            event: Event::default(),
            marker: DoneMarker::default(),
            totals: Totals::default(),
        };
        Self {
            parser: Parser::default(),
            events,
        }
    }
}

impl<D: Dialect> EventReader<D> {
    pub(super) fn wants_more(&self) -> bool {
        !self.events.totals.state.done
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.parser.feed(bytes, &mut |piece| self.events.read(piece));
    }

    pub(super) fn finish(&mut self) {
        self.parser.finish(&mut |piece| self.events.read(piece));
    }

    pub(super) fn facts(&self) -> ResponseFacts {
        let Events { dialect, totals, .. } = &self.events;
        let Totals {
            model,
            usage: _,
            counted_output,
            finish_reasons,
            state,
        } = totals;
        ResponseFacts {
            model: model.clone(),
            usage: dialect.usage(totals),
            counted_output: *counted_output,
            finish_reasons: *finish_reasons,
            body: BodyState::Stream(StreamState {
                finished: dialect.is_finished(),
                ..*state
            }),
        }
    }
}

// === impl Events ===

impl<D: Dialect> Events<D> {
    fn read(&mut self, piece: Piece<'_>) {
        if self.totals.state.done {
            return;
        }
        match piece {
            Piece::Data(bytes) => {
                self.marker.read(bytes);
                let Self {
                    scanner, event, totals, ..
                } = self;
                let wants_model = totals.model.is_none();
                scanner.feed(bytes, |field, value| match field {
                    // Every event has it, and the first one decides.
                    Field::Model if !wants_model => {}
                    field => event.read::<D>(field, value),
                });
            }
            Piece::End { name, has_error } => self.end_event(name, has_error),
        }
    }

    fn end_event(&mut self, name: &[u8], has_error: bool) {
        let event = std::mem::take(&mut self.event);
        match self.scanner.progress() {
            Progress::Complete => self.commit(event, name),
            // `data:` without a value: some proxies send it to keep the connection alive.
            Progress::Empty => {}
            Progress::Incomplete | Progress::Malformed(_) => {
                let is_done = self.marker.is_match();
                self.totals.state.done |= is_done;
                self.totals.state.malformed |= !is_done;
            }
        }
        self.totals.state.error |= has_error || name == b"error";
        self.scanner.restart();
        self.marker = DoneMarker::default();
    }

    fn commit(&mut self, event: Event<D::Event>, name: &[u8]) {
        let Event {
            model,
            usage,
            error,
            dialect,
        } = event;
        self.dialect.commit(dialect, usage, name, &mut self.totals);
        self.totals.state.error |= error;
        if self.totals.model.is_none() {
            self.totals.model = model;
        }
    }
}

// === impl Event ===

impl<E> Event<E> {
    fn read<D: Dialect<Event = E>>(&mut self, field: Field, value: Value<'_>) {
        match (field, value) {
            (Field::Usage(field), value) => self.usage.read(field, value),
            (Field::Model, Value::Str(name)) if !name.is_empty() => self.model = Some(name.to_vec()),
            (Field::Model, _) => self.model = None,
            (Field::Error, value) => self.error |= value != Value::Null,
            (field, value) => D::read(&mut self.dialect, field, value),
        }
    }
}

// === impl DoneMarker ===

impl DoneMarker {
    fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.mismatch {
                return;
            }
            if byte.is_ascii_whitespace() {
                self.trailing = self.matched > 0;
            } else if !self.trailing && END_MARKER.get(self.matched) == Some(byte) {
                self.matched += 1;
            } else {
                self.mismatch = true;
            }
        }
    }

    fn is_match(&self) -> bool {
        !self.mismatch && self.matched == END_MARKER.len()
    }
}
