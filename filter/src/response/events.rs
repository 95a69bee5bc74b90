//! Reads an event stream whose events are JSON documents, in the dialect of its API.
//!
//! What an event says counts once the event and its document are whole; one that is cut off or broken says nothing, and
//! the next one counts again. After the stream's end nothing counts.

use std::fmt::Debug;

use super::field::Field;
use super::{BodyState, FinishReasons, ResponseFacts, StreamState, Usage};
use crate::json::{Path, Progress, Scanner, Value};
use crate::request::ModelName;
use crate::sse::{Piece, Splitter};

/// The data that ends a stream of OpenAI's first APIs.
const END_MARKER: &[u8] = b"[DONE]";

/// What the events of an API say, each in its place.
pub(super) trait Dialect: Debug + Default {
    /// Where the values are that an event may hold.
    const PATHS: &'static [&'static [Path<Field>]];
    /// What an event says beside its model, its usage and an error, which every API has.
    type Event: Debug + Default;
    /// Reads one value of the event that is under way.
    fn read(event: &mut Self::Event, field: Field, value: Value<'_>);
    /// The event is whole: takes it over. `name` is what its `event:` field says, or empty.
    fn commit(&mut self, event: Self::Event, name: &[u8], stream: &mut Stream);
}

/// What the whole events of a stream have said.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) model: Option<ModelName>,
    /// Usage is cumulative where it comes with every event: the last one counts.
    pub(super) usage: Usage,
    pub(super) counted_output: Option<u64>,
    pub(super) finish_reasons: FinishReasons,
    pub(super) facts: StreamState,
}

/// The reader of one stream.
#[derive(Debug)]
pub(super) struct EventReader<D: Dialect> {
    splitter: Splitter,
    events: Events<D>,
}

#[derive(Debug)]
struct Events<D: Dialect> {
    scanner: Scanner<Field>,
    dialect: D,
    event: Event<D::Event>,
    marker: Marker,
    stream: Stream,
}

/// What the event that is under way has said so far.
#[derive(Debug, Default)]
struct Event<E> {
    model: Option<ModelName>,
    usage: Usage,
    error: bool,
    more: E,
}

/// How much of the end marker an event's data is; white space around it does not count.
#[derive(Debug, Default)]
struct Marker {
    seen: usize,
    /// White space came after the first of it: nothing else may follow.
    spaced: bool,
    /// The data is something else.
    other: bool,
}

// === impl EventReader ===

impl<D: Dialect> Default for EventReader<D> {
    fn default() -> Self {
        let events = Events {
            scanner: Scanner::new(D::PATHS),
            dialect: D::default(),
            event: Event::default(),
            marker: Marker::default(),
            stream: Stream::default(),
        };
        Self {
            splitter: Splitter::default(),
            events,
        }
    }
}

impl<D: Dialect> EventReader<D> {
    pub(super) fn wants_more(&self) -> bool {
        !self.events.stream.facts.ended
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.splitter.feed(bytes, &mut |piece| self.events.read(piece));
    }

    pub(super) fn finish(&mut self) {
        self.splitter.finish(&mut |piece| self.events.read(piece));
    }

    pub(super) fn facts(&self) -> ResponseFacts {
        let Stream {
            model,
            usage,
            counted_output,
            finish_reasons,
            facts,
        } = &self.events.stream;
        ResponseFacts {
            model: model.clone(),
            usage: *usage,
            counted_output: *counted_output,
            finish_reasons: *finish_reasons,
            reading: BodyState::Stream(*facts),
        }
    }
}

// === impl Events ===

impl<D: Dialect> Events<D> {
    fn read(&mut self, piece: Piece<'_>) {
        if self.stream.facts.ended {
            return;
        }
        match piece {
            Piece::Data(bytes) => {
                self.marker.read(bytes);
                let Self { scanner, event, .. } = self;
                scanner.feed(bytes, &mut |field, value| event.read::<D>(field, value));
            }
            Piece::End { name } => self.end_event(name),
        }
    }

    fn end_event(&mut self, name: &[u8]) {
        let event = std::mem::take(&mut self.event);
        if self.scanner.progress() == Progress::Complete {
            self.commit(event, name);
        } else {
            let is_end = self.marker.is_whole();
            self.stream.facts.ended |= is_end;
            self.stream.facts.broken |= !is_end;
        }
        self.stream.facts.error |= name == b"error";
        self.scanner.restart();
        self.marker = Marker::default();
    }

    fn commit(&mut self, event: Event<D::Event>, name: &[u8]) {
        let Event {
            model,
            usage,
            error,
            more,
        } = event;
        self.dialect.commit(more, name, &mut self.stream);
        self.stream.usage.update(usage);
        self.stream.facts.error |= error;
        if self.stream.model.is_none() {
            self.stream.model = model;
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
            (field, value) => D::read(&mut self.more, field, value),
        }
    }
}

// === impl Marker ===

impl Marker {
    fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.other {
                return;
            }
            if byte.is_ascii_whitespace() {
                self.spaced = self.seen > 0;
            } else if !self.spaced && END_MARKER.get(self.seen) == Some(byte) {
                self.seen += 1;
            } else {
                self.other = true;
            }
        }
    }

    fn is_whole(&self) -> bool {
        !self.other && self.seen == END_MARKER.len()
    }
}
