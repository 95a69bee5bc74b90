//! One request and its answer as a state machine: events go in, with the time where it matters, and at the end one
//! [`ExchangeSummary`] comes out. It knows the order of things, not what they are called in a metric.
//!
//! Invariant: what comes out depends on the bytes and the order of events, never on how the bytes were cut.

use crate::labels::{ErrorCode, ModelLabel, UsageSource};
use crate::record::Outcome;
use crate::request::{ModelName, RequestFacts, RequestReader};
use crate::response::{BodyState, JsonState, ResponseFacts, ResponseReader};
use crate::route::Api;

/// Memory that an exchange holds at most, whatever its bytes: a few hundred bytes of state for each of two scanners, and,
/// for an event that is made to cost, the finish reasons of a thousand choices. An ordinary one holds a quarter of this.
pub const MAX_STATE_BYTES: usize = 12 * 1024;
/// The same while it undoes a content coding: beside that, the inflater's window and tables.
pub const MAX_INFLATING_BYTES: usize = MAX_STATE_BYTES + 48 * 1024;

/// An exchange under way.
#[derive(Debug)]
pub struct Exchange {
    api: Api,
    started_ns: u64,
    target: Option<ModelName>,
    request: RequestReader,
    request_bytes: u64,
    request_ended: bool,
    status: Option<u16>,
    answer: ResponseReader,
    response_bytes: u64,
    response_ended_ns: Option<u64>,
    /// `model_name`, once it is settled.
    pub label: Option<ModelLabel>,
}

/// How Envoy says that an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Termination {
    /// The status that the client got. A filter on the way may have put an answer of its own in the place of the one that
    /// passed here.
    pub status: Option<u16>,
    /// On whose side it ended.
    pub side: TerminatedBy,
}

/// On whose side an exchange ended whose answer did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminatedBy {
    /// The client went away, or broke the protocol.
    Client,
    /// The server broke the answer off, or Envoy gave it up.
    Server,
    /// Nobody's: Envoy follows a redirect itself, and the exchange goes on as another one.
    Redirect,
}

/// What is known of an exchange that is over; its labels are not settled here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeSummary {
    /// How it ended.
    pub outcome: Outcome,
    /// Request headers to the last byte or the abort, nanoseconds.
    pub duration_ns: u64,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
    /// What the answer reported.
    pub facts: ResponseFacts,
    /// How its tokens became known, or why not; `None` without a 2xx answer.
    pub usage_source: Option<UsageSource>,
}

/// Who an exchange asks for, as far as it is known now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedModel<'a> {
    /// The request's body is still coming.
    NotYet,
    /// The request names a model.
    Model(&'a [u8]),
    /// It names none.
    Nobody,
}

// === impl Exchange ===

impl Exchange {
    /// A request's headers have come. `target` is what the configured header says.
    pub fn new(api: Api, now_ns: u64, target: Option<ModelName>) -> Self {
        Self {
            api,
            started_ns: now_ns,
            target: target.filter(|name| !name.is_empty()),
            request: RequestReader::new(api),
            request_bytes: 0,
            request_ended: false,
            status: None,
            answer: ResponseReader::NONE,
            response_bytes: 0,
            response_ended_ns: None,
            label: None,
        }
    }

    /// So many more bytes of the request's body; says whether [`Self::read_request`] wants to see them.
    pub fn request_body(&mut self, size: usize) -> bool {
        self.request_bytes += size as u64;
        self.request.wants_more()
    }

    /// Those bytes, in one or several pieces.
    pub fn read_request(&mut self, bytes: &[u8]) {
        self.request.feed(bytes);
    }

    /// The request is whole.
    pub fn request_end(&mut self) {
        if !self.request_ended {
            self.request.finish();
            self.request_ended = true;
        }
    }

    /// The answer's headers have come.
    pub fn response_headers(&mut self, status: u16, content_type: Option<&[u8]>, content_encoding: Option<&[u8]>) {
        self.status = Some(status);
        if is_success(status) {
            self.answer = ResponseReader::new(self.api, content_type, content_encoding);
        }
    }

    /// So many more bytes of the answer's body; says whether [`Self::read_response`] wants to see them.
    pub fn response_body(&mut self, size: usize) -> bool {
        self.response_bytes += size as u64;
        !self.is_response_complete() && self.answer.wants_more()
    }

    /// Those bytes, in one or several pieces.
    pub fn read_response(&mut self, bytes: &[u8]) {
        self.answer.feed(bytes);
    }

    /// The answer is whole.
    pub fn response_end(&mut self, now_ns: u64) {
        if self.response_ended_ns.is_none() {
            self.answer.finish();
            self.response_ended_ns = Some(now_ns);
        }
    }

    /// Whether the answer came to its end. If it did not, how the exchange ended must be asked for.
    pub fn is_response_complete(&self) -> bool {
        self.response_ended_ns.is_some()
    }

    /// The status of the answer.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// The model that the request asks for.
    pub fn asked(&self) -> RequestedModel<'_> {
        match (self.request_ended, self.request.facts().model.as_deref()) {
            (false, _) => RequestedModel::NotYet,
            (true, Some(name)) => RequestedModel::Model(name),
            (true, None) => RequestedModel::Nobody,
        }
    }

    /// What the request says, even if its body never came to its end.
    pub fn request(&self) -> &RequestFacts {
        self.request.facts()
    }

    /// The model that the answer names. A JSON answer names it at its end: what looks like a whole document may be followed
    /// by bytes that show that it was none.
    pub fn response_model(&self) -> Option<ModelName> {
        let facts = self.answer.facts();
        facts
            .model
            .filter(|_| self.is_response_complete() || matches!(facts.reading, BodyState::Stream(_)))
    }

    /// What the configured header says of the model that serves this.
    pub fn target(&self) -> Option<&[u8]> {
        self.target.as_deref()
    }

    /// It is over.
    pub fn end(&mut self, now_ns: u64, ending: Termination) -> ExchangeSummary {
        let failed = ending.status.filter(|status| ErrorCode::from_status(*status).is_some());
        self.status = failed.or(self.status).or(ending.status);
        if self.response_ended_ns.is_none() {
            self.answer.finish();
        }
        let facts = self.answer.facts();
        let outcome = self.outcome(&facts, ending);
        ExchangeSummary {
            outcome,
            duration_ns: self.response_ended_ns.unwrap_or(now_ns).saturating_sub(self.started_ns),
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            usage_source: self
                .status
                .is_some_and(is_success)
                .then(|| self.usage_source(&facts, outcome)),
            facts,
        }
    }

    /// What the user could mend comes before what nobody can: a stream that was not asked for its usage would not have had
    /// one, however it ended.
    fn usage_source(&self, facts: &ResponseFacts, outcome: Outcome) -> UsageSource {
        let ResponseFacts {
            usage,
            counted_output,
            reading,
            ..
        } = facts;
        let on_request = matches!(
            (reading, self.api),
            (BodyState::Stream(_), Api::Chat | Api::Completions)
        );
        match outcome {
            _ if usage.is_reported() => UsageSource::Reported,
            _ if counted_output.is_some() => UsageSource::Counted,
            _ if *reading == BodyState::Encoded => UsageSource::MissingEncoded,
            _ if on_request && !self.request.facts().includes_usage => UsageSource::MissingNotRequested,
            Outcome::Cancelled => UsageSource::MissingAborted,
            Outcome::Failed(_) => UsageSource::MissingTruncated,
            Outcome::Success => UsageSource::MissingUnparsed,
        }
    }

    /// The earliest thing that went wrong decides.
    fn outcome(&self, facts: &ResponseFacts, ending: Termination) -> Outcome {
        if let Some(code) = self.status.and_then(ErrorCode::from_status) {
            return Outcome::Failed(code);
        }
        match facts.reading {
            BodyState::Stream(stream) if stream.error => Outcome::Failed(ErrorCode::StreamError),
            // Clients close the connection once they have the end marker; the answer is whole.
            BodyState::Stream(stream) if stream.ended => Outcome::Success,
            _ if !self.is_response_complete() && ending.side == TerminatedBy::Client => Outcome::Cancelled,
            _ if !self.is_response_complete() => Outcome::Failed(ErrorCode::UpstreamReset),
            BodyState::Stream(_) if !facts.finish_reasons.any() => Outcome::Failed(ErrorCode::Truncated),
            // Its end is the connection's end, so a break looks like one; but the document is not whole.
            BodyState::Json(JsonState::Open) if self.response_bytes > 0 => Outcome::Failed(ErrorCode::UpstreamReset),
            BodyState::Stream(_) | BodyState::Json(_) | BodyState::Encoded | BodyState::Unreadable => Outcome::Success,
        }
    }
}

/// Whether an answer of this status is a good one.
pub fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

#[cfg(test)]
mod tests;
