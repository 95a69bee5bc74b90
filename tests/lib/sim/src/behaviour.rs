//! The typed form of the header `x-sim`, by which a request controls the simulator.
//!
//! The header is a `;`-separated list of `key=value`. Nothing in it is ignored: unknown keys, invalid values, duplicate
//! keys and keys that exclude each other are reported together, so a test with a typo fails instead of testing nothing.
//!
//! An event is one `data:` event in the order sent. `[DONE]` counts as an event, comments do not.

mod error;
mod parse;

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use hyper::StatusCode;

pub(crate) use error::BehaviourError;
pub use error::BehaviourErrors;

/// The default is a server without faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Behaviour {
    /// `status=503`: reply with this status and an OpenAI error instead of doing the work.
    pub(crate) status: Option<StatusCode>,
    /// `body=none` or `body=garbage`: the body sent with `status`, instead of an error.
    pub(crate) body: StatusBody,
    /// `delay=100ms`: the wait before the response headers.
    pub(crate) delay: Duration,
    /// `gap=2ms`: the wait between two events. A JSON response has none.
    pub(crate) gap: Duration,
    /// `chunk=N` or `chunk=all`: how the body is cut into writes.
    pub(crate) chunking: Chunking,
    /// `cut`, `hang`, `error` or `end`: how the response ends.
    pub(crate) end: ResponseEnd,
    /// `done=no`: a stream without its `[DONE]`.
    pub(crate) done: bool,
    /// `eol=crlf`, `eol=cr` or `eol=lf`: the line ends of a stream.
    pub(crate) eol: Eol,
    /// `space=no`: no space after `data:`.
    pub(crate) space: bool,
    /// `comments=yes`: a keep-alive comment between events.
    pub(crate) comments: bool,
    /// `usage=early`, `usage=repeat`, `usage=none` or `usage=null`: where the token counts are.
    pub(crate) usage: UsagePlacement,
    /// `encoding=gzip` or `encoding=deflate`: the content coding of the body.
    pub(crate) encoding: Option<Encoding>,
    /// `model=NAME`: the model named in the response.
    pub(crate) model: Option<String>,
    /// `prompt=N`: the reported prompt tokens.
    pub(crate) prompt: Option<u64>,
    /// `completion=N`: the tokens generated for each choice.
    pub(crate) completion: Option<u64>,
    /// `tokens-per-event=N`: the most tokens in one event.
    pub(crate) tokens_per_event: NonZeroU64,
    /// `token-bytes=N`: the size of each token's text.
    pub(crate) token_bytes: Option<usize>,
    /// `bom=yes`: a byte order mark before the body.
    pub(crate) bom: bool,
    /// `last-blank=no`: the last event of a stream lacks its blank line.
    pub(crate) last_blank: bool,
    /// `times=N`: applies to the next N requests only. Not allowed in the header.
    pub(crate) times: Option<NonZeroU64>,
    /// `for=2s`: applies to requests within this time only. Not allowed in the header.
    pub(crate) duration: Option<Duration>,
}

/// The body sent with `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatusBody {
    Error,
    Empty,
    /// Bytes that are neither JSON nor text, with the content type of JSON.
    Garbage,
}

/// How the body is cut into writes. Each is flushed before the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunking {
    /// One write per event, as uvicorn does.
    Events,
    /// Writes of this many bytes, across events; the last one may be shorter.
    Bytes(NonZeroUsize),
    /// The whole body in one write.
    Whole,
}

/// How the response ends. Where N is more than the response has, it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseEnd {
    Complete,
    /// `cut=headers`: the connection is closed without a response (on HTTP/2 the stream is reset).
    CutHeaders,
    /// `cut=body:N`: the connection is aborted after N bytes of the body as sent, that is, after compression.
    CutBody(u64),
    /// `cut=event:N`: the connection is aborted after N events.
    CutEvent(usize),
    /// `hang=headers`: no response until the client disconnects.
    HangHeaders,
    /// `hang=event:N`: nothing more after N events until the client disconnects.
    HangEvent(usize),
    /// `error=event:N`: after N events an error event, then `[DONE]`.
    ErrorEvent(usize),
    /// `end=event:N`: a clean end of the body after N events.
    EndEvent(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eol {
    /// As vLLM sends.
    Lf,
    CrLf,
    Cr,
}

/// Where the token counts are in the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsagePlacement {
    /// As requested, like vLLM.
    AsRequested,
    /// In the event before the last one that carries choices, without an event of its own.
    Early,
    /// In two usage events.
    Repeat,
    /// Nowhere, although it was requested.
    Absent,
    /// `"usage":null` in the events that have none; in a JSON response instead of the counts.
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    /// HTTP's deflate: a zlib stream.
    Deflate,
}

// === impl Behaviour ===

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            status: None,
            body: StatusBody::Error,
            delay: Duration::ZERO,
            gap: Duration::ZERO,
            chunking: Chunking::Events,
            end: ResponseEnd::Complete,
            done: true,
            eol: Eol::Lf,
            space: true,
            comments: false,
            usage: UsagePlacement::AsRequested,
            encoding: None,
            model: None,
            prompt: None,
            completion: None,
            tokens_per_event: NonZeroU64::MIN,
            token_bytes: None,
            bom: false,
            last_blank: true,
            times: None,
            duration: None,
        }
    }
}

impl Behaviour {
    /// The first key given that is allowed only in a behaviour set for a path.
    pub(crate) fn needs_path(&self) -> Option<&'static str> {
        let times = self.times.map(|_| "times");
        times.or(self.duration.map(|_| "for"))
    }

    /// The first key given that only a streamed response can show. With a JSON response it would have no effect, so the
    /// server rejects the request.
    pub(crate) fn needs_stream(&self) -> Option<&'static str> {
        let end = match self.end {
            ResponseEnd::CutEvent(_) => Some("cut=event"),
            ResponseEnd::HangEvent(_) => Some("hang=event"),
            ResponseEnd::ErrorEvent(_) => Some("error=event"),
            ResponseEnd::EndEvent(_) => Some("end=event"),
            ResponseEnd::Complete | ResponseEnd::CutHeaders | ResponseEnd::CutBody(_) | ResponseEnd::HangHeaders => {
                None
            }
        };
        let usage = match self.usage {
            UsagePlacement::Early => Some("usage=early"),
            UsagePlacement::Repeat => Some("usage=repeat"),
            UsagePlacement::AsRequested | UsagePlacement::Absent | UsagePlacement::Null => None,
        };
        let given = |is: bool, key| is.then_some(key);
        end.or(usage)
            .or(given(!self.done, "done"))
            .or(given(self.eol != Eol::Lf, "eol"))
            .or(given(!self.space, "space"))
            .or(given(self.comments, "comments"))
            .or(given(self.tokens_per_event > NonZeroU64::MIN, "tokens-per-event"))
            .or(given(!self.last_blank, "last-blank"))
    }
}

// === impl ResponseEnd ===

impl ResponseEnd {
    /// Whether there is no response at all.
    pub(crate) fn is_before_headers(self) -> bool {
        matches!(self, Self::CutHeaders | Self::HangHeaders)
    }
}

// === impl Eol ===

impl Eol {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::CrLf => "\r\n",
            Self::Cr => "\r",
        }
    }
}

// === impl Encoding ===

impl Encoding {
    /// The value of `content-encoding`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }
}
