//! A case: one exchange as data, and the framing of its bodies.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

use crate::client::Client;

/// Limit of the writes of a body: what matters is that it is cut, and where.
const MAX_PIECES: usize = 100;

/// One exchange: the client's request and the server's response.
#[derive(Clone, Debug)]
pub struct Case {
    pub client: Client,
    pub method: &'static str,
    pub path: &'static str,
    pub request: Half,
    pub status: u16,
    pub response: Half,
    /// Who cuts the exchange off inside a body, if anyone does.
    pub cut: Option<Cut>,
}

/// Headers and a body.
#[derive(Clone, Debug)]
pub struct Half {
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
    pub framing: Framing,
}

/// A body as a recipe, which is short to print.
#[derive(Clone, Debug)]
pub struct Body {
    /// Repeated up to the length.
    pub parts: Vec<&'static str>,
    /// The seed of random bytes, in place of the parts.
    pub noise: Option<u64>,
    pub gzip: bool,
    pub length: usize,
}

/// The framing of a body.
#[derive(Clone, Debug)]
pub enum Framing {
    /// By its length, written in pieces of these sizes, in turn.
    Length(Vec<usize>),
    /// In chunks of these sizes, in turn, with these trailers.
    Chunked(Vec<usize>, Vec<(&'static str, String)>),
    /// By the connection's end; only a response.
    Close,
}

/// Who cuts an exchange off; inside a body, after how many thousandths of it.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    Client(usize),
    /// The client closes its sending half, which Envoy takes for a disconnect.
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
    /// Its header.
    pub fn header(&self, length: usize) -> Option<(&'static str, String)> {
        match self {
            Self::Length(_) => Some(("content-length", length.to_string())),
            Self::Chunked(..) => Some(("transfer-encoding", "chunked".to_owned())),
            Self::Close => None,
        }
    }

    /// The parts that a body is written in, without their framing.
    pub fn parts(&self, body: &[u8]) -> Vec<Vec<u8>> {
        let sizes = match self {
            Self::Length(sizes) | Self::Chunked(sizes, _) => &sizes[..],
            Self::Close => &[],
        };
        let least = body.len() / MAX_PIECES + 1;
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
