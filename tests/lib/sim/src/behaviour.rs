//! Owns what one request asks of the simulator: the typed form of the header `x-sim`.
//!
//! The header is a `;`-separated list of `key=value`. Nothing in it is ignored: an unknown key, a value that does not
//! parse, a key given twice and keys that contradict each other are all reported together, so a test with a typing
//! error fails instead of testing nothing.
//!
//! An event is one `data:` event in the order sent; `[DONE]` counts as one, comments do not.

mod error;
mod parse;

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use hyper::StatusCode;

pub use error::{BehaviourError, BehaviourErrors};

/// What the header `x-sim` asks for. The default is a server without faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// `status=503`: answer with this status and an OpenAI-style error body instead of doing the work.
    pub status: Option<StatusCode>,
    /// `body=none` or `body=garbage`: what the answer that `status` asks for holds instead of an error.
    pub body: AskedBody,
    /// `delay=100ms`: wait this long before the headers.
    pub delay: Duration,
    /// `gap=2ms`: wait this long between two events. A JSON answer has no events, so nothing waits there.
    pub gap: Duration,
    /// `chunk=N` or `chunk=all`: how the body is cut into writes.
    pub chunking: Chunking,
    /// `cut`, `hang`, `error` or `end`: how the answer ends.
    pub ending: Ending,
    /// `done=no`: a stream without its `[DONE]`.
    pub done: bool,
    /// `eol`: how lines of a stream end.
    pub eol: Eol,
    /// `space=no`: no space after `data:`.
    pub space: bool,
    /// `comments=yes`: a keep-alive comment between events.
    pub comments: bool,
    /// `usage`: where the token counts stand.
    pub usage: UsageShape,
    /// `encoding`: the compression of the body.
    pub encoding: Option<Encoding>,
    /// `model=NAME`: the name the answer gives its model.
    pub model: Option<String>,
    /// `prompt=N`: the prompt tokens the answer reports.
    pub prompt: Option<u64>,
    /// `completion=N`: the tokens made for each choice.
    pub completion: Option<u64>,
    /// `tokens-per-event=N`: how many tokens one event carries at most.
    pub tokens_per_event: NonZeroU64,
    /// `words=N`: each token is N bytes of text.
    pub words: Option<usize>,
    /// `bom=yes`: a byte order mark before the body.
    pub bom: bool,
    /// `last-blank=no`: the last event of a stream lacks its blank line.
    pub last_blank: bool,
    /// `times=N`: only the next N requests get this. For what stands in a server, not for a request's own.
    pub times: Option<NonZeroU64>,
    /// `for=2s`: only requests within this time get this, likewise.
    pub lasts: Option<Duration>,
}

/// What an answer of which `status` was asked for holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedBody {
    /// An OpenAI-style error.
    Error,
    /// Nothing.
    Empty,
    /// Bytes that are neither JSON nor text, said to be JSON.
    Garbage,
}

/// How the body is cut into writes, each flushed before the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunking {
    /// One write for each event, as uvicorn does.
    Events,
    /// Pieces of so many bytes, across events; the last one may be shorter.
    Bytes(NonZeroUsize),
    /// The whole body in one write.
    Whole,
}

/// How the answer ends. `cut=event:9` on an answer of five events leaves it whole; so do the others that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Whole,
    /// `cut=headers`: the connection is closed without an answer (on HTTP/2 the stream is reset).
    CutHeaders,
    /// `cut=body:N`: the connection is aborted after N bytes of the body as sent, so after compression.
    CutBody(u64),
    /// `cut=event:N`: the connection is aborted after N events.
    CutEvent(usize),
    /// `hang=headers`: no answer until the client goes away.
    HangHeaders,
    /// `hang=event:N`: nothing more after N events until the client goes away.
    HangEvent(usize),
    /// `error=event:N`: after N events an error event, then `[DONE]`.
    ErrorEvent(usize),
    /// `end=event:N`: a clean end of the body after N events.
    EndEvent(usize),
}

/// How lines of a stream end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eol {
    /// `\n`, as vLLM sends.
    Lf,
    /// `\r\n`.
    CrLf,
    /// `\r`.
    Cr,
}

/// Where the token counts stand in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageShape {
    /// As vLLM does.
    AsAsked,
    /// In the event before the last one that carries choices, and no event of its own.
    Early,
    /// The usage event is sent twice.
    Repeat,
    /// Never, although asked.
    Absent,
    /// `"usage":null` on the events that have none; in a JSON answer instead of the counts.
    Null,
}

/// A compression of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// gzip.
    Gzip,
    /// What HTTP calls deflate: a zlib stream.
    Deflate,
}

// === impl Behaviour ===

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            status: None,
            body: AskedBody::Error,
            delay: Duration::ZERO,
            gap: Duration::ZERO,
            chunking: Chunking::Events,
            ending: Ending::Whole,
            done: true,
            eol: Eol::Lf,
            space: true,
            comments: false,
            usage: UsageShape::AsAsked,
            encoding: None,
            model: None,
            prompt: None,
            completion: None,
            tokens_per_event: NonZeroU64::MIN,
            words: None,
            bom: false,
            last_blank: true,
            times: None,
            lasts: None,
        }
    }
}

impl Behaviour {
    /// The first key given that only a behaviour that stands in a server can have, if any.
    pub(crate) fn needs_standing(&self) -> Option<&'static str> {
        let times = self.times.map(|_| "times");
        times.or(self.lasts.map(|_| "for"))
    }

    /// The first key given that only a streamed answer can show, if any. On a JSON answer it would do nothing, so
    /// the server refuses the request instead.
    pub(crate) fn needs_stream(&self) -> Option<&'static str> {
        let ending = match self.ending {
            Ending::CutEvent(_) => Some("cut=event"),
            Ending::HangEvent(_) => Some("hang=event"),
            Ending::ErrorEvent(_) => Some("error=event"),
            Ending::EndEvent(_) => Some("end=event"),
            Ending::Whole | Ending::CutHeaders | Ending::CutBody(_) | Ending::HangHeaders => None,
        };
        let usage = match self.usage {
            UsageShape::Early => Some("usage=early"),
            UsageShape::Repeat => Some("usage=repeat"),
            UsageShape::AsAsked | UsageShape::Absent | UsageShape::Null => None,
        };
        let given = |is: bool, key| is.then_some(key);
        ending
            .or(usage)
            .or(given(!self.done, "done"))
            .or(given(self.eol != Eol::Lf, "eol"))
            .or(given(!self.space, "space"))
            .or(given(self.comments, "comments"))
            .or(given(self.tokens_per_event > NonZeroU64::MIN, "tokens-per-event"))
            .or(given(!self.last_blank, "last-blank"))
    }
}

// === impl Ending ===

impl Ending {
    /// Whether no work is done and no answer given.
    pub(crate) fn is_before_headers(self) -> bool {
        matches!(self, Self::CutHeaders | Self::HangHeaders)
    }
}

// === impl Eol ===

impl Eol {
    /// The bytes of one line end.
    pub fn as_str(self) -> &'static str {
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
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }
}
