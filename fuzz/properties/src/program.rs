//! The events of a program for the simulated Envoy, their encoding in the bytes of an input, and the lists that a byte
//! chooses from.

use std::sync::LazyLock;

use infertally_filter::config::Config;

use crate::choices::Choices;

/// Exchanges that can be in flight at once.
pub(crate) const STREAMS: u8 = 6;
pub(crate) const WORKERS: u8 = 3;

pub(crate) const PATHS: [&str; 15] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
    "/v1/rerank",
    "/v1/score",
    "/pooling",
    "/classify",
    "/v1/audio/transcriptions",
    "/v1/chat/completions/batch",
    "/generate",
    "/v1/models",
    "/tenant/v1/completions?a=/v1/embeddings",
    "",
];
/// Values of the target model header.
pub(crate) const TARGETS: [Option<&str>; 6] = [
    None,
    Some("tiny"),
    Some("lora"),
    Some(""),
    Some("other"),
    Some("a;.;b=.=%\"\n"),
];
/// Statuses that Envoy may report, including invalid ones; 0 is none.
pub(crate) const STATUSES: [u16; 24] = [
    0, 200, 201, 204, 299, 304, 307, 400, 401, 403, 404, 408, 413, 422, 429, 499, 500, 501, 502, 503, 504, 599, 999,
    65535,
];
pub(crate) static CONFIGS: LazyLock<[Config; 5]> = LazyLock::new(|| {
    [
        "",
        r#"{"models": ["tiny"]}"#,
        r#"{"models": ["tiny", "base"], "maxModels": 0, "targetModelHeader": "x-target"}"#,
        r#"{"maxModels": 1, "paths": {"/generate": "chat", "/v1/score": "off"}}"#,
        r#"{"maxModels": 3, "targetModelHeader": "x-target"}"#,
    ]
    .map(|text| Config::parse(text.as_bytes()).0)
});

/// `stream` and `worker` are the indexes of an exchange and a worker; the other numbers choose from the lists above and
/// from those of `response`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    RequestHeaders {
        stream: u8,
        worker: u8,
        path: u8,
        target: u8,
        end: bool,
    },
    RequestBody {
        stream: u8,
        end: bool,
        bytes: &'a [u8],
    },
    RequestTrailers {
        stream: u8,
    },
    ResponseHeaders {
        stream: u8,
        status: u8,
        content_type: u8,
        coding: u8,
        end: bool,
    },
    ResponseBody {
        stream: u8,
        end: bool,
        bytes: &'a [u8],
    },
    ResponseTrailers {
        stream: u8,
    },
    /// The end of an exchange, with the index of a status.
    Log {
        stream: u8,
        status: u8,
        client_disconnects: bool,
    },
    /// A heartbeat of the worker.
    Beat {
        worker: u8,
    },
    /// 2^`bits` nanoseconds pass.
    Pass {
        bits: u8,
    },
    Configure {
        worker: u8,
        config: u8,
    },
    /// The worker's VM dies with its exchanges, and Envoy starts another.
    Die {
        worker: u8,
    },
}

// === impl Event ===

impl<'a> Event<'a> {
    const KINDS: u8 = 11;

    /// The next event; `None` at the end of the input.
    pub(crate) fn read(choices: &mut Choices<'a>) -> Option<Self> {
        if choices.is_empty() {
            return None;
        }
        let kind = choices.byte() % Self::KINDS;
        let at = choices.byte();
        let (stream, worker, end) = (at % 0x80 % STREAMS, at % WORKERS, at & 0x80 != 0);
        Some(match kind {
            0 => Self::RequestHeaders {
                stream,
                end,
                worker: choices.byte() % WORKERS,
                path: choices.byte(),
                target: choices.byte(),
            },
            1 => Self::RequestBody {
                stream,
                end,
                bytes: Self::bytes(choices),
            },
            2 => Self::RequestTrailers { stream },
            3 => Self::ResponseHeaders {
                stream,
                end,
                status: choices.byte(),
                content_type: choices.byte(),
                coding: choices.byte(),
            },
            4 => Self::ResponseBody {
                stream,
                end,
                bytes: Self::bytes(choices),
            },
            5 => Self::ResponseTrailers { stream },
            6 => Self::Log {
                stream,
                client_disconnects: end,
                status: choices.byte(),
            },
            7 => Self::Beat { worker },
            8 => Self::Pass { bits: at },
            9 => Self::Configure {
                worker,
                config: choices.byte(),
            },
            _ => Self::Die { worker },
        })
    }

    fn bytes(choices: &mut Choices<'a>) -> &'a [u8] {
        let size = choices.word();
        choices.take(size.into())
    }

    /// Writes the event in the encoding of [`Self::read`]; a chunk is cut at 65,535 bytes.
    pub(crate) fn write(self, input: &mut Vec<u8>) {
        let at = |stream: u8, flag: bool| stream | u8::from(flag) << 7;
        let mut write_bytes = |kind: u8, at: u8, bytes: &[u8]| {
            let size = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
            input.extend([kind, at]);
            input.extend(size.to_le_bytes());
            input.extend(bytes.iter().take(size.into()));
        };
        match self {
            Self::RequestBody { stream, end, bytes } => write_bytes(1, at(stream, end), bytes),
            Self::ResponseBody { stream, end, bytes } => write_bytes(4, at(stream, end), bytes),
            Self::RequestHeaders {
                stream,
                worker,
                path,
                target,
                end,
            } => {
                input.extend([0, at(stream, end), worker, path, target]);
            }
            Self::RequestTrailers { stream } => input.extend([2, stream]),
            Self::ResponseHeaders {
                stream,
                status,
                content_type,
                coding,
                end,
            } => {
                input.extend([3, at(stream, end), status, content_type, coding]);
            }
            Self::ResponseTrailers { stream } => input.extend([5, stream]),
            Self::Log {
                stream,
                status,
                client_disconnects,
            } => input.extend([6, at(stream, client_disconnects), status]),
            Self::Beat { worker } => input.extend([7, worker]),
            Self::Pass { bits } => input.extend([8, bits]),
            Self::Configure { worker, config } => input.extend([9, worker, config]),
            Self::Die { worker } => input.extend([10, worker]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_events_are_read_back() {
        let (stream, worker, end) = (5, 2, true);
        let program = [
            Event::RequestHeaders {
                stream,
                worker,
                path: 7,
                target: 3,
                end,
            },
            Event::RequestBody {
                stream,
                end,
                bytes: b"{}",
            },
            Event::RequestTrailers { stream },
            Event::ResponseHeaders {
                stream,
                status: 9,
                content_type: 1,
                coding: 2,
                end: false,
            },
            Event::ResponseBody {
                stream,
                end: false,
                bytes: b"",
            },
            Event::ResponseTrailers { stream },
            Event::Beat { worker },
            Event::Pass { bits: 30 },
            Event::Configure { worker, config: 4 },
            Event::Die { worker },
            Event::Log {
                stream,
                status: 3,
                client_disconnects: true,
            },
        ];
        let mut input = Vec::new();
        for event in program {
            event.write(&mut input);
        }
        let mut choices = Choices(&input);
        let read: Vec<_> = std::iter::from_fn(|| Event::read(&mut choices)).collect();
        assert_eq!(read, program);
    }
}
