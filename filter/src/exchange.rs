//! One request and its response as a state machine: events in, with the time where it matters, one `ExchangeSummary`
//! out at the end.
//!
//! It decides how an exchange ended and does not resolve model labels. Three types describe the end: a [`Termination`]
//! is what Envoy reports, [`TerminatedBy`] is the side that caused it, and an `ExchangeSummary` is the result.
//!
//! Invariant: the summary depends on the bytes and the order of the events, never on the chunk boundaries.

use crate::labels::{ErrorCode, UsageSource};
use crate::names::ModelId;
use crate::request::{ModelName, RequestFacts, RequestReader};
use crate::response::{BodyState, JsonState, ResponseFacts, ResponseReader};
use crate::route::Api;

/// Upper bound of the memory that an exchange holds for any input: a few hundred bytes for each of two scanners, and the
/// finish reasons of a thousand choices for a hostile event. An ordinary exchange holds a quarter of it.
pub const MAX_STATE_BYTES: usize = 12 * 1024;
/// The same bound for compressed bodies: each adds the window and tables of an inflater, that of the request until its end.
pub const MAX_INFLATING_BYTES: usize = MAX_STATE_BYTES + 2 * 48 * 1024;

/// An exchange in flight.
#[derive(Debug)]
pub struct Exchange {
    api: Api,
    started_ns: u64,
    target: Option<ModelName>,
    request: RequestReader,
    request_bytes: u64,
    request_ended: bool,
    status: Option<u16>,
    response: ResponseReader,
    response_bytes: u64,
    response_ended_ns: Option<u64>,
    /// `model_name`, once it is resolved. From then on the exchange counts as running.
    pub label: Option<ModelId>,
}

/// How Envoy reports that an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Termination {
    /// The status that the client received. It differs from the one that passed the filter if another filter replaced the
    /// response.
    pub status: Option<u16>,
    /// Matters only if the response did not complete.
    pub by: TerminatedBy,
}

/// Which side ended an exchange before its response completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminatedBy {
    /// The client disconnected, reset its stream or violated the protocol.
    Client,
    /// The model server reset the stream, or Envoy gave up on it.
    Upstream,
    /// Neither: Envoy follows an internal redirect, and the exchange continues as a new stream.
    Redirect,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The status is below 400 and the response is complete.
    Success,
    /// The earliest failure decides the code.
    Failed(ErrorCode),
    /// The client disconnected before the response was complete. Not an error.
    Cancelled,
}

/// The result of an exchange; its target label is not resolved here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExchangeSummary {
    pub(crate) outcome: Outcome,
    /// From the request headers to the last response byte or the abort.
    pub(crate) duration_ns: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) facts: ResponseFacts,
    /// `None` unless the status is 2xx.
    pub(crate) usage_source: Option<UsageSource>,
    /// The response is a stream that has usage on request only, and the request did not include it.
    pub(crate) is_usage_unrequested: bool,
}

/// The model that a request names, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestedModel<'a> {
    /// The request body is incomplete.
    Pending,
    Named(&'a [u8]),
    Unnamed,
}

// === impl Exchange ===

impl Exchange {
    /// Starts an exchange at its request headers. `target` is the value of the configured target model header.
    pub fn new(api: Api, now_ns: u64, target: Option<ModelName>) -> Self {
        Self {
            api,
            started_ns: now_ns,
            target: target.filter(|name| !name.is_empty()),
            request: RequestReader::new(api, None),
            request_bytes: 0,
            request_ended: false,
            status: None,
            response: ResponseReader::NONE,
            response_bytes: 0,
            response_ended_ns: None,
            label: None,
        }
    }

    /// Sets the `content-encoding` of the request, before its body.
    pub fn request_encoding(&mut self, content_encoding: Option<&[u8]>) {
        self.request = RequestReader::new(self.api, content_encoding);
    }

    /// Counts `size` more bytes of the request body; returns whether [`Self::read_request`] needs them.
    pub fn request_body(&mut self, size: usize) -> bool {
        self.request_bytes += size as u64;
        self.request.wants_more()
    }

    /// Reads the bytes just counted, in one or more pieces.
    pub fn read_request(&mut self, bytes: &[u8]) {
        self.request.feed(bytes);
    }

    /// Marks the request body as complete.
    pub fn request_end(&mut self) {
        if !self.request_ended {
            self.request.finish();
            self.request_ended = true;
        }
    }

    /// Starts the response; returns whether its body is read, which [`Self::response_format`] must precede. Only that of a 2xx
    /// response is: an error body adds nothing to its status.
    pub fn response_status(&mut self, status: u16) -> bool {
        self.status = Some(status);
        is_success(status)
    }

    /// Sets the `content-type` and `content-encoding` of a response whose body is read.
    pub fn response_format(&mut self, content_type: Option<&[u8]>, content_encoding: Option<&[u8]>) {
        self.response = ResponseReader::new(self.api, content_type, content_encoding);
    }

    /// Starts the response, with the headers that describe its body.
    pub fn response_headers(&mut self, status: u16, content_type: Option<&[u8]>, content_encoding: Option<&[u8]>) {
        if self.response_status(status) {
            self.response_format(content_type, content_encoding);
        }
    }

    /// Counts `size` more bytes of the response body; returns whether [`Self::read_response`] needs them.
    pub fn response_body(&mut self, size: usize) -> bool {
        self.response_bytes += size as u64;
        !self.is_response_complete() && self.response.wants_more()
    }

    /// Reads the bytes just counted, in one or more pieces.
    pub fn read_response(&mut self, bytes: &[u8]) {
        self.response.feed(bytes);
    }

    /// Marks the response as complete.
    pub fn response_end(&mut self, now_ns: u64) {
        if self.response_ended_ns.is_none() {
            self.response.finish();
            self.response_ended_ns = Some(now_ns);
        }
    }

    /// Whether the response reached its end. If not, the [`Termination`] decides the outcome.
    pub fn is_response_complete(&self) -> bool {
        self.response_ended_ns.is_some()
    }

    /// When the response reached its end.
    pub fn response_ended_ns(&self) -> Option<u64> {
        self.response_ended_ns
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.status
    }

    pub(crate) fn requested_model(&self) -> RequestedModel<'_> {
        match (self.request_ended, self.request.facts().model.as_deref()) {
            (false, _) => RequestedModel::Pending,
            (true, Some(name)) => RequestedModel::Named(name),
            (true, None) => RequestedModel::Unnamed,
        }
    }

    /// What was read of the request, even if its body is incomplete.
    pub(crate) fn request(&self) -> &RequestFacts {
        self.request.facts()
    }

    /// The model that the response names. In a JSON response only its end makes that final: bytes after a complete document
    /// would make it malformed.
    pub(crate) fn response_model(&self) -> Option<ModelName> {
        let facts = self.response.facts();
        facts
            .model
            .filter(|_| self.is_response_complete() || matches!(facts.body, BodyState::Stream(_)))
    }

    /// The value of the configured target model header.
    pub(crate) fn target(&self) -> Option<&[u8]> {
        self.target.as_deref()
    }

    /// Ends the exchange.
    pub(crate) fn finish(&mut self, now_ns: u64, termination: Termination) -> ExchangeSummary {
        let failed = termination
            .status
            .filter(|status| ErrorCode::from_status(*status).is_some());
        self.status = failed.or(self.status).or(termination.status);
        if self.response_ended_ns.is_none() {
            self.response.finish();
        }
        let facts = self.response.facts();
        let outcome = self.outcome(&facts, termination);
        ExchangeSummary {
            is_usage_unrequested: self.is_usage_unrequested(&facts),
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

    /// A cause that the client can fix precedes others: a stream whose request did not set `include_usage` would
    /// have reported none, however it ended.
    fn usage_source(&self, facts: &ResponseFacts, outcome: Outcome) -> UsageSource {
        let ResponseFacts {
            usage,
            counted_output,
            body,
            ..
        } = facts;
        match outcome {
            _ if usage.is_reported() => UsageSource::Reported,
            _ if usage.audio_seconds.is_some() => UsageSource::ReportedDuration,
            _ if counted_output.is_some() => UsageSource::Counted,
            _ if *body == BodyState::Encoded => UsageSource::MissingEncoded,
            _ if self.is_usage_unrequested(facts) => UsageSource::MissingNotRequested,
            Outcome::Cancelled => UsageSource::MissingAborted,
            Outcome::Failed(_) => UsageSource::MissingTruncated,
            Outcome::Success => UsageSource::MissingUnparsed,
        }
    }

    fn is_usage_unrequested(&self, facts: &ResponseFacts) -> bool {
        let is_opt_in = matches!(
            (facts.body, self.api),
            (BodyState::Stream(_), Api::Chat | Api::Completions)
        );
        let RequestFacts {
            include_usage, encoded, ..
        } = self.request.facts();
        is_opt_in && !*include_usage && !*encoded
    }

    /// The earliest failure decides.
    fn outcome(&self, facts: &ResponseFacts, termination: Termination) -> Outcome {
        if let Some(code) = self.status.and_then(ErrorCode::from_status) {
            return Outcome::Failed(code);
        }
        match facts.body {
            BodyState::Stream(stream) if stream.error => Outcome::Failed(ErrorCode::StreamError),
            // Many clients close the connection at the end marker; the response is complete.
            BodyState::Stream(stream) if stream.done => Outcome::Success,
            BodyState::Json(JsonState::Failed) => Outcome::Failed(ErrorCode::ModelServerError),
            body if !self.is_response_complete() && termination.by == TerminatedBy::Client => match body {
                // The client has everything that it waited for.
                BodyState::Stream(stream) if stream.finished && facts.usage.is_reported() => Outcome::Success,
                BodyState::Json(JsonState::Complete) => Outcome::Success,
                _ => Outcome::Cancelled,
            },
            _ if !self.is_response_complete() => Outcome::Failed(ErrorCode::UpstreamReset),
            BodyState::Stream(_) if !facts.finish_reasons.any() => Outcome::Failed(ErrorCode::Truncated),
            // A body delimited by the connection's close looks complete after a reset; the document shows that it is not.
            BodyState::Json(JsonState::Incomplete) if self.response_bytes > 0 => {
                Outcome::Failed(ErrorCode::UpstreamReset)
            }
            BodyState::Stream(_) | BodyState::Json(_) | BodyState::Encoded | BodyState::Unsupported => Outcome::Success,
        }
    }
}

/// Whether a status is 2xx.
pub(crate) fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

#[cfg(test)]
mod tests;
