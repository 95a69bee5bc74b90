//! Undoes the content codings gzip and deflate on the way to the reader; the client's bytes stay as they are.
//!
//! Memory: a window of 32 KiB, tables of 11 KiB and a buffer of [`PIECE`]. Time: a body that inflates to more than
//! [`MAX_INFLATED`] is given up, so a bomb costs a bounded amount. Checksums are not looked at: a client does that, and
//! no count would be better for it.

mod gzip;

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

use super::body::Body;
use gzip::Framing;

/// Bytes that a body may inflate to. The largest honest answers, embeddings of a large batch, are some tens of MB.
pub const MAX_INFLATED: u64 = 256 * 1024 * 1024;
/// Bytes that are inflated at a time.
const PIECE: usize = 8 * 1024;

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
    state: Box<InflateState>,
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
    Bare,
    /// The data is over; whatever follows says nothing.
    Ended,
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
            state: InflateState::new_boxed(DataFormat::Raw),
            body,
            inflated: 0,
            failed: false,
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first().filter(|_| !self.failed) {
            match &mut self.container {
                Container::Undecided => {
                    // A zlib stream begins with its method, 8, in the lower half of its first byte. In a bare stream that
                    // would be a stored block with a padding that is not zero, and nobody writes such.
                    if byte & 0x0f == 8 {
                        self.state.reset(DataFormat::ZLibIgnoreChecksum);
                    }
                    self.container = Container::Bare;
                }
                Container::Gzip(framing) if !framing.is_in_data() => match framing.feed(byte) {
                    Ok(()) => rest = after,
                    Err(gzip::NotGzip) if self.inflated > 0 => self.container = Container::Ended,
                    Err(gzip::NotGzip) => self.failed = true,
                },
                Container::Gzip(_) | Container::Bare => rest = self.inflate(rest),
                Container::Ended => return,
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

    /// Inflates all that these bytes give and hands it on; gives what follows the compressed data.
    fn inflate<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let mut rest = bytes;
        let mut piece = [0; PIECE];
        loop {
            let result = inflate(&mut self.state, rest, &mut piece, MZFlush::None);
            rest = rest.get(result.bytes_consumed..).unwrap_or_default();
            self.inflated += result.bytes_written as u64;
            self.body.feed(piece.get(..result.bytes_written).unwrap_or_default());
            match result.status {
                Ok(MZStatus::StreamEnd) => {
                    self.end_data();
                    return rest;
                }
                // Nothing more comes of these bytes.
                Ok(_) | Err(MZError::Buf) if result.bytes_written == 0 => return &[],
                Ok(_) | Err(MZError::Buf) => {}
                Err(_) => self.failed = true,
            }
            self.failed |= self.inflated > MAX_INFLATED;
            if self.failed || !self.body.wants_more() {
                return &[];
            }
        }
    }

    fn end_data(&mut self) {
        match &mut self.container {
            Container::Gzip(framing) => {
                framing.end_data();
                self.state.reset(DataFormat::Raw);
            }
            container => *container = Container::Ended,
        }
    }
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            container,
            state: _,
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

#[cfg(test)]
mod tests;
