//! Undoes the content codings gzip and deflate on the way to the reader; the client's bytes stay as they are.
//!
//! Memory: a window of 32 KiB and tables of 11 KiB. Time: a body that inflates to more than [`MAX_INFLATED`] is given up,
//! so a bomb costs a bounded amount. Checksums are not looked at: a client does that, and no count would be better for it.

mod gzip;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_IGNORE_ADLER32, TINFL_FLAG_PARSE_ZLIB_HEADER,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::body::Body;
use gzip::Framing;

/// Bytes that a body may inflate to. The largest honest answers, embeddings of a large batch, are some tens of MB.
pub const MAX_INFLATED: u64 = 256 * 1024 * 1024;
/// How far back compressed data may refer: the window in which it is inflated, round and round.
const WINDOW: usize = 32 * 1024;

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    /// By its definition zlib's format, but some servers send the bare deflate stream.
    Deflate,
    Other,
}

/// A body and the coding around it.
pub(super) struct Inflater {
    container: Container,
    decompressor: Box<DecompressorOxide>,
    window: Box<[u8]>,
    /// Where in the window the next byte goes.
    at: usize,
    body: Body,
    inflated: u64,
    /// The body was given up: it is not what its header says, or inflates to too much.
    failed: bool,
}

/// What is around the compressed data.
#[derive(Debug)]
enum Container {
    /// Nothing was read yet of what is zlib's format or the bare stream: the first byte tells.
    Undecided,
    Gzip(Framing),
    /// The compressor's own stream, or zlib's, whose frame the library reads.
    Deflate {
        zlib: bool,
    },
    /// The data is over; whatever follows says nothing.
    ExchangeSummary,
}

// === impl Coding ===

impl Coding {
    pub(super) fn from_header(value: Option<&[u8]>) -> Self {
        match value.map(|value| value.trim_ascii().to_ascii_lowercase()).as_deref() {
            None | Some(b"" | b"identity") => Self::Identity,
            Some(b"gzip" | b"x-gzip") => Self::Gzip,
            Some(b"deflate") => Self::Deflate,
            Some(_) => Self::Other,
        }
    }
}

// === impl Inflater ===

impl Inflater {
    pub(super) fn gzip(body: Body) -> Self {
        Self::new(Container::Gzip(Framing::default()), body)
    }

    pub(super) fn deflate(body: Body) -> Self {
        Self::new(Container::Undecided, body)
    }

    fn new(container: Container, body: Body) -> Self {
        Self {
            container,
            decompressor: Box::default(),
            window: vec![0; WINDOW].into_boxed_slice(),
            at: 0,
            body,
            inflated: 0,
            failed: false,
        }
    }

    /// Whether more bytes can still say anything.
    pub(super) fn wants_more(&self) -> bool {
        !self.failed && self.body.wants_more()
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first().filter(|_| self.wants_more()) {
            match &mut self.container {
                // A zlib stream begins with its method, 8, in the lower half of its first byte. In a bare stream that would
                // be a stored block with a padding that is not zero, and nobody writes such.
                Container::Undecided => self.container = Container::Deflate { zlib: byte & 0x0f == 8 },
                Container::Gzip(framing) if !framing.is_in_data() => match framing.feed(byte) {
                    Ok(()) => rest = after,
                    Err(gzip::NotGzip) if self.inflated > 0 => self.container = Container::ExchangeSummary,
                    Err(gzip::NotGzip) => self.failed = true,
                },
                Container::Gzip(_) => rest = self.inflate(rest, 0),
                Container::Deflate { zlib: false } => rest = self.inflate(rest, 0),
                Container::Deflate { zlib: true } => rest = self.inflate(rest, TINFL_FLAG_PARSE_ZLIB_HEADER),
                Container::ExchangeSummary => return,
            }
        }
    }

    pub(super) fn finish(&mut self) {
        self.body.finish();
    }

    /// The body behind the coding; `None` once it was given up.
    pub(super) fn body(&self) -> Option<&Body> {
        (!self.failed).then_some(&self.body)
    }

    /// Inflates all that these bytes give and hands it on; gives the bytes that follow the compressed data.
    fn inflate<'b>(&mut self, bytes: &'b [u8], flags: u32) -> &'b [u8] {
        let flags = flags | TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_IGNORE_ADLER32;
        let mut rest = bytes;
        while self.wants_more() {
            let (status, read, written) = decompress(&mut self.decompressor, rest, &mut self.window, self.at, flags);
            rest = rest.get(read..).unwrap_or_default();
            self.body
                .feed(self.window.get(self.at..self.at + written).unwrap_or_default());
            self.inflated += written as u64;
            self.at = (self.at + written) % WINDOW;
            match status {
                TINFLStatus::Done => {
                    self.end_data();
                    return rest;
                }
                // The window's end was reached, and there is more.
                TINFLStatus::HasMoreOutput => self.failed = self.inflated > MAX_INFLATED,
                TINFLStatus::NeedsMoreInput => return &[],
                // A reader that has all it wants does not care for what follows.
                _ => self.failed = self.body.wants_more(),
            }
        }
        &[]
    }

    fn end_data(&mut self) {
        match &mut self.container {
            Container::Gzip(framing) => {
                framing.end_data();
                self.decompressor.init();
            }
            container => *container = Container::ExchangeSummary,
        }
    }
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            container,
            decompressor: _,
            window: _,
            at: _,
            body,
            inflated,
            failed,
        } = self;
        let mut fields = f.debug_struct("Inflater");
        fields
            .field("container", container)
            .field("body", body)
            .field("inflated", inflated)
            .field("failed", failed);
        fields.finish_non_exhaustive()
    }
}

// Its bodies are made by a compressor that is there natively only.
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
