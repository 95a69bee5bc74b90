//! Exchanges of every kind, as proptest draws them: valid HTTP, and in it whatever clients and servers might send.

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::io::Write;

use crate::client::Client;

/// At most so many writes to a body: what matters is that it is cut, and where.
const MOST_PIECES: usize = 100;

/// One exchange: what the client sends, and what the server answers.
#[derive(Clone, Debug)]
pub struct Case {
    pub client: Client,
    pub method: &'static str,
    pub path: &'static str,
    pub request: Half,
    pub status: u16,
    pub answer: Half,
    /// Who breaks the connection off inside its body, if anyone does.
    pub cut: Option<Cut>,
}

/// Headers and a body.
#[derive(Clone, Debug)]
pub struct Half {
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
    pub framing: Framing,
}

/// A body by its recipe, which is short to print.
#[derive(Clone, Debug)]
pub struct Body {
    /// Repeated up to the length.
    parts: Vec<&'static str>,
    /// Bytes of noise instead of them.
    noise: Option<u64>,
    gzip: bool,
    length: usize,
}

/// How a body goes over the wire.
#[derive(Clone, Debug)]
pub enum Framing {
    /// By its length, written in pieces of these sizes in turn.
    Length(Vec<usize>),
    /// In chunks of these sizes in turn, and with these trailers.
    Chunked(Vec<usize>, Vec<(&'static str, String)>),
    /// By the connection's end. Only an answer.
    Close,
}

/// Who breaks off; inside a body, after how many thousandths of it.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    Client(usize),
    /// The client sends no more, and would still read: for Envoy that is a client that went away.
    HalfClose,
    Server(usize),
}

// === impl Body ===

impl Body {
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.length);
        if let Some(seed) = self.noise {
            let mut state = seed | 1;
            while bytes.len() < self.length {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                bytes.extend_from_slice(&state.to_be_bytes()[..4]);
            }
        } else {
            for part in self.parts.iter().cycle() {
                if bytes.len() >= self.length || self.parts.iter().all(|part| part.is_empty()) {
                    break;
                }
                bytes.extend_from_slice(part.as_bytes());
            }
        }
        bytes.truncate(self.length);
        if self.gzip {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&bytes).unwrap();
            bytes = encoder.finish().unwrap();
        }
        bytes
    }
}

// === impl Framing ===

impl Framing {
    /// The header that says it.
    pub fn header(&self, length: usize) -> Option<(&'static str, String)> {
        match self {
            Self::Length(_) => Some(("content-length", length.to_string())),
            Self::Chunked(..) => Some(("transfer-encoding", "chunked".to_owned())),
            Self::Close => None,
        }
    }

    /// The parts that a body is written in, without what frames them.
    pub fn parts(&self, body: &[u8]) -> Vec<Vec<u8>> {
        let sizes = match self {
            Self::Length(sizes) | Self::Chunked(sizes, _) => &sizes[..],
            Self::Close => &[],
        };
        let least = body.len() / MOST_PIECES + 1;
        let mut sizes = sizes.iter().copied().cycle().map(|size| size.max(least));
        let mut parts = Vec::new();
        let mut rest = body;
        while !rest.is_empty() {
            let (part, after) = rest.split_at(sizes.next().unwrap_or(usize::MAX).min(rest.len()));
            parts.push(part.to_vec());
            rest = after;
        }
        parts
    }

    pub fn trailers(&self) -> &[(&'static str, String)] {
        match self {
            Self::Chunked(_, trailers) => trailers,
            Self::Length(_) | Self::Close => &[],
        }
    }

    /// One write of a body.
    pub fn piece(&self, piece: &[u8]) -> Vec<u8> {
        match self {
            Self::Chunked(..) => [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat(),
            Self::Length(_) | Self::Close => piece.to_vec(),
        }
    }

    /// What ends a body.
    pub fn end(&self) -> Vec<u8> {
        if !matches!(self, Self::Chunked(..)) {
            return Vec::new();
        }
        let trailers: String = self
            .trailers()
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        format!("0\r\n{trailers}\r\n").into_bytes()
    }
}

// === strategies ===

const METHODS: [&str; 10] = [
    "POST", "POST", "POST", "POST", "GET", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH",
];
const PATHS: [&str; 12] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/chat/completions?a=%20&model=/v1/x",
    "/a/b/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
    "/v1/audio/transcriptions",
    "/v1/models",
    "/tokenize",
    "/",
    "/%7Ea/..;b//c?d=%23",
];
const PARTS: [&str; 25] = [
    "{\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"stream\":true}",
    "{\"model\":\"",
    "tiny\",\"choices\":[{\"finish_reason\":\"stop\"}],",
    "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":8}}",
    "{\"error\":{\"message\":\"no\"}}",
    "data: {\"model\":\"tiny\",\"choices\":[{\"delta\":{\"content\":\"é🦀\"},\"finish_reason\":null}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":8}}\n\n",
    "data: [DONE]\n\n",
    "data:{}\r\n\r\n",
    "data: \r\r",
    "event: error\ndata: died\n\n",
    ": ping\n\n",
    "\u{feff}",
    "[[[[[[[[{\"a\":",
    "\\u0000\\ud83d",
    "\"",
    "\\",
    "}",
    "1e999,-0,",
    "\n",
    "\r",
    "\u{0}\u{1}\u{7f}",
    "--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\ntiny\r\n",
    " ",
    "",
];
/// Types of bodies, right and wrong ones.
const TYPES: [&str; 8] = [
    "application/json",
    "application/json; charset=utf-8",
    "text/event-stream",
    "Text/Event-Stream;charset=UTF-8",
    "text/plain",
    "multipart/form-data; boundary=x",
    "application/octet-stream",
    "",
];
const NAMES: [&str; 14] = [
    "content-type",
    "content-type",
    "content-encoding",
    "x-a",
    "x-a",
    "X-Mixed-Case",
    "authorization",
    "cookie",
    "set-cookie",
    "accept",
    "cache-control",
    "x-accel-buffering",
    "etag",
    "x-target-model",
];

fn headers() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let header = select(&NAMES[..]).prop_flat_map(|name| {
        let value = match name {
            "content-type" => select(&TYPES[..]).prop_map(str::to_owned).boxed(),
            "content-encoding" => select(&["gzip", "identity", "br", "x"][..])
                .prop_map(str::to_owned)
                .boxed(),
            _ => "([!-~]([ -~\t]{0,40}[!-~])?)?".boxed(),
        };
        value.prop_map(move |value| (name, value))
    });
    vec(header, 0..6)
}

fn body() -> impl Strategy<Value = Body> {
    let length = prop_oneof![1 => Just(0), 3 => 1usize..300, 3 => 300usize..20_000, 2 => 20_000usize..200_000, 1 => 200_000usize..=1_000_000];
    let noise = prop_oneof![3 => Just(None), 1 => any::<u64>().prop_map(Some)];
    (vec(select(&PARTS[..]), 1..8), noise, any::<bool>(), 0..4, length).prop_map(|(parts, noise, _, gzip, length)| {
        Body {
            parts,
            noise,
            gzip: gzip == 0,
            length,
        }
    })
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![1usize..8, 8usize..300, 300usize..20_000], 1..5)
}

fn framing() -> impl Strategy<Value = Framing> {
    let trailer = (select(&["x-trailer", "x-other"][..]), "[!-~]{1,20}");
    prop_oneof![
        sizes().prop_map(Framing::Length),
        (sizes(), vec(trailer, 0..3)).prop_map(|(sizes, trailers)| Framing::Chunked(sizes, trailers)),
    ]
}

fn half(framing: impl Strategy<Value = Framing>) -> impl Strategy<Value = Half> {
    (headers(), body(), framing).prop_map(|(headers, body, framing)| Half { headers, body, framing })
}

/// Any exchange of this client.
pub fn cases(client: Client) -> impl Strategy<Value = Case> {
    let status = prop_oneof![
        3 => Just(200),
        2 => select(&[201, 204, 206, 299, 301, 304, 400, 404, 418, 429, 500, 503][..])
    ];
    let cut = option::weighted(
        0.3,
        prop_oneof![
            (0usize..1000).prop_map(Cut::Client),
            Just(Cut::HalfClose),
            (0usize..1000).prop_map(Cut::Server),
        ],
    );
    let answer = prop_oneof![3 => framing(), 1 => Just(Framing::Close)];
    (
        select(&METHODS[..]),
        select(&PATHS[..]),
        half(framing()),
        status,
        half(answer),
        cut,
    )
        .prop_map(move |(method, path, mut request, status, answer, cut)| {
            // Before HTTP/1.1 there are no chunks, and over HTTP/2 a connection that is half closed is none.
            if client == Client::Http10
                && let Framing::Chunked(sizes, _) = request.framing
            {
                request.framing = Framing::Length(sizes);
            }
            let cut = cut.filter(|cut| client != Client::Http2 || !matches!(cut, Cut::HalfClose));
            Case {
                client,
                method,
                path,
                request,
                status,
                answer,
                cut,
            }
        })
}
