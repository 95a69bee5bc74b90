//! A decoder of the content codings gzip and deflate between the body and its reader. The client's bytes are not changed.
//!
//! Memory is bounded by a window of 32 KiB and tables of 11 KiB; time by [`MAX_INFLATED`], past which a body is abandoned.
//! Checksums are not verified: the client does that.

mod gzip;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_IGNORE_ADLER32, TINFL_FLAG_PARSE_ZLIB_HEADER,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::body::Body;
use gzip::Framing;

/// A body that inflates to more bytes is abandoned. The largest real responses, embeddings of a large batch, have tens of
/// megabytes.
pub(super) const MAX_INFLATED: u64 = 256 * 1024 * 1024;
/// Deflate's maximum distance: the size of the circular output buffer.
const WINDOW: usize = 32 * 1024;

/// A `content-encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentCoding {
    Identity,
    Gzip,
    /// RFC 9110 defines it as the zlib format, but some servers send raw deflate data.
    Deflate,
    Unsupported,
}

/// A compressed body and the reader of its decoded bytes.
pub(super) struct Inflater {
    format: Format,
    decompressor: Box<DecompressorOxide>,
    window: Box<[u8]>,
    /// Position of the next byte in the window.
    position: usize,
    body: Body,
    inflated: u64,
    /// The body was abandoned: it does not match its header, or is over the limit.
    failed: bool,
}

/// The format of the compressed data.
#[derive(Debug)]
enum Format {
    /// Either zlib or raw deflate; the first byte decides.
    Detect,
    Gzip(Framing),
    /// With or without the zlib header and trailer, which the library parses.
    Deflate {
        zlib: bool,
    },
    /// After the compressed data. Trailing bytes are ignored.
    End,
}

// === impl ContentCoding ===

impl ContentCoding {
    pub(super) fn from_header(value: Option<&[u8]>) -> Self {
        match value.map(|value| value.trim_ascii().to_ascii_lowercase()).as_deref() {
            None | Some(b"" | b"identity") => Self::Identity,
            Some(b"gzip" | b"x-gzip") => Self::Gzip,
            Some(b"deflate") => Self::Deflate,
            Some(_) => Self::Unsupported,
        }
    }
}

// === impl Inflater ===

impl Inflater {
    pub(super) fn gzip(body: Body) -> Self {
        Self::new(Format::Gzip(Framing::default()), body)
    }

    pub(super) fn deflate(body: Body) -> Self {
        Self::new(Format::Detect, body)
    }

    fn new(format: Format, body: Body) -> Self {
        Self {
            format,
            decompressor: Box::default(),
            window: vec![0; WINDOW].into_boxed_slice(),
            position: 0,
            body,
            inflated: 0,
            failed: false,
        }
    }

    /// Whether further bytes can change the facts.
    pub(super) fn wants_more(&self) -> bool {
        !self.failed && self.body.wants_more()
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first().filter(|_| self.wants_more()) {
            match &mut self.format {
                // The low nibble of zlib's first byte is the method, 8. In raw deflate that would be a stored block with
                // non-zero padding, which no encoder writes.
                Format::Detect => self.format = Format::Deflate { zlib: byte & 0x0f == 8 },
                Format::Gzip(framing) if !framing.is_in_data() => match framing.feed(byte) {
                    Ok(()) => rest = after,
                    Err(gzip::NotGzip) if self.inflated > 0 => self.format = Format::End,
                    Err(gzip::NotGzip) => self.failed = true,
                },
                Format::Gzip(_) => rest = self.inflate(rest, 0),
                Format::Deflate { zlib: false } => rest = self.inflate(rest, 0),
                Format::Deflate { zlib: true } => rest = self.inflate(rest, TINFL_FLAG_PARSE_ZLIB_HEADER),
                Format::End => return,
            }
        }
    }

    pub(super) fn finish(&mut self) {
        self.body.finish();
    }

    /// `None` if the body was abandoned.
    pub(super) fn body(&self) -> Option<&Body> {
        (!self.failed).then_some(&self.body)
    }

    /// Feeds the decoded bytes to the reader; returns the bytes after the end of the compressed data.
    fn inflate<'b>(&mut self, bytes: &'b [u8], flags: u32) -> &'b [u8] {
        let flags = flags | TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_IGNORE_ADLER32;
        let mut rest = bytes;
        while self.wants_more() {
            let (status, read, written) =
                decompress(&mut self.decompressor, rest, &mut self.window, self.position, flags);
            rest = rest.get(read..).unwrap_or_default();
            self.body.feed(
                self.window
                    .get(self.position..self.position + written)
                    .unwrap_or_default(),
            );
            self.inflated += written as u64;
            self.position = (self.position + written) % WINDOW;
            match status {
                TINFLStatus::Done => {
                    self.end_data();
                    return rest;
                }
                // The end of the window was reached.
                TINFLStatus::HasMoreOutput => self.failed = self.inflated > MAX_INFLATED,
                TINFLStatus::NeedsMoreInput => return &[],
                // A reader that needs no more bytes is not affected by an error in them.
                _ => self.failed = self.body.wants_more(),
            }
        }
        &[]
    }

    fn end_data(&mut self) {
        match &mut self.format {
            Format::Gzip(framing) => {
                framing.end_data();
                self.decompressor.init();
            }
            format => *format = Format::End,
        }
    }
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            format,
            decompressor: _,
            window: _,
            position: _,
            body,
            inflated,
            failed,
        } = self;
        let mut fields = f.debug_struct("Inflater");
        fields
            .field("format", format)
            .field("body", body)
            .field("inflated", inflated)
            .field("failed", failed);
        fields.finish_non_exhaustive()
    }
}

// The encoder is a dependency of native tests only.
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
