//! A decoder of the content codings of requests and responses between the bytes of a body and its reader. gzip and deflate
//! are inflated; the bytes that Envoy forwards are not changed.
//!
//! Memory is bounded for each body by a window of 32 KiB and tables of 11 KiB, and for all bodies of a VM by
//! [`MAX_INFLATERS_BYTES`]; time by [`MAX_INFLATED`], past which a body is abandoned. An inflater exists from the first byte
//! of a body to the last one that its reader needs. Checksums are not verified: the receiver does that.

mod gzip;

use std::cell::Cell;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_IGNORE_ADLER32, TINFL_FLAG_PARSE_ZLIB_HEADER,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use gzip::Framing;

/// A body that inflates to more bytes is abandoned. The largest real responses, embeddings of a large batch, have tens of
/// megabytes.
const MAX_INFLATED: u64 = 256 * 1024 * 1024;
/// Memory of all inflaters of a VM together, which is one worker's: linear memory never shrinks, and thousands of compressed
/// streams may be in flight at once. A body past it can't be decoded.
pub const MAX_INFLATERS_BYTES: usize = 32 * 1024 * 1024;
/// Inflaters of a VM at the same time.
pub const MAX_INFLATERS: usize = MAX_INFLATERS_BYTES / INFLATER_BYTES;
/// Memory of one inflater.
const INFLATER_BYTES: usize = size_of::<Inflater>() + size_of::<DecompressorOxide>() + WINDOW;
/// Deflate's maximum distance: the size of the circular output buffer.
const WINDOW: usize = 32 * 1024;

thread_local! {
    /// Inflaters of this thread. A VM has one thread, and no body moves between VMs.
    static INFLATERS: Cell<usize> = const { Cell::new(0) };
}

/// The reader of a decoded body. Once it needs no more bytes, it never does.
pub(crate) trait Sink {
    /// Whether further bytes can change what it reads.
    fn wants_more(&self) -> bool;
    /// Reads the next decoded bytes.
    fn feed(&mut self, bytes: &[u8]);
}

/// The decoder of one body.
#[derive(Debug)]
pub(crate) struct Decoder(State);

#[derive(Debug)]
enum State {
    Identity,
    /// Compressed, before the first byte.
    Waiting(Format),
    Inflate(Box<Inflater>),
    /// Compressed, after the last byte that the reader needs.
    Done,
    /// The coding is not supported, or the body does not match it, is over the limit, or found no free inflater.
    Failed,
}

/// The state of one compressed body.
struct Inflater {
    format: Format,
    decompressor: Box<DecompressorOxide>,
    window: Box<[u8]>,
    /// Position of the next byte in the window.
    position: usize,
    inflated: u64,
    /// The body does not match its header, or is over the limit.
    failed: bool,
    _permit: Permit,
}

/// One of the [`MAX_INFLATERS`] of this VM.
#[derive(Debug)]
struct Permit;

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

// === impl Decoder ===

impl Decoder {
    /// Passes the bytes on as they are.
    pub(crate) const IDENTITY: Self = Self(State::Identity);

    /// The decoder for this `content-encoding`.
    pub(crate) fn new(content_encoding: Option<&[u8]>) -> Self {
        let value = content_encoding.map(|value| value.trim_ascii().to_ascii_lowercase());
        Self(match value.as_deref() {
            None | Some(b"" | b"identity") => State::Identity,
            Some(b"gzip" | b"x-gzip") => State::Waiting(Format::Gzip(Framing::default())),
            // RFC 9110 defines it as the zlib format, but some senders use raw deflate data.
            Some(b"deflate") => State::Waiting(Format::Detect),
            Some(_) => State::Failed,
        })
    }

    /// Whether the body has a content coding, supported or not.
    pub(crate) fn is_encoded(&self) -> bool {
        !matches!(self.0, State::Identity)
    }

    /// Whether the body can't be decoded.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.0, State::Failed)
    }

    /// Whether further bytes can change what the reader reads.
    pub(crate) fn wants_more(&self, sink: &dyn Sink) -> bool {
        match self.0 {
            State::Identity | State::Waiting(_) | State::Inflate(_) => sink.wants_more(),
            State::Done | State::Failed => false,
        }
    }

    /// Decodes the next chunk of the body for the reader.
    pub(crate) fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        if bytes.is_empty() {
            return;
        }
        if let State::Waiting(format) = &mut self.0 {
            let format = std::mem::replace(format, Format::End);
            self.0 = match Permit::acquire() {
                _ if !sink.wants_more() => State::Done,
                Some(permit) => State::Inflate(Box::new(Inflater::new(format, permit))),
                None => State::Failed,
            };
        }
        match &mut self.0 {
            State::Identity => sink.feed(bytes),
            State::Inflate(inflater) => {
                inflater.feed(bytes, sink);
                if inflater.failed {
                    self.0 = State::Failed;
                } else if !inflater.wants_more(sink) {
                    self.0 = State::Done;
                }
            }
            State::Waiting(_) | State::Done | State::Failed => {}
        }
    }

    /// Ends the body and frees the memory.
    pub(crate) fn finish(&mut self) {
        if let State::Waiting(_) | State::Inflate(_) = self.0 {
            self.0 = State::Done;
        }
    }
}

// === impl Permit ===

impl Permit {
    fn acquire() -> Option<Self> {
        let taken = INFLATERS.get();
        (taken < MAX_INFLATERS).then(|| {
            INFLATERS.set(taken + 1);
            Self
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        INFLATERS.set(INFLATERS.get().saturating_sub(1));
    }
}

// === impl Inflater ===

impl Inflater {
    fn new(format: Format, permit: Permit) -> Self {
        Self {
            format,
            decompressor: Box::default(),
            window: vec![0; WINDOW].into_boxed_slice(),
            position: 0,
            inflated: 0,
            failed: false,
            _permit: permit,
        }
    }

    fn wants_more(&self, sink: &dyn Sink) -> bool {
        !self.failed && !matches!(self.format, Format::End) && sink.wants_more()
    }

    fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first().filter(|_| self.wants_more(sink)) {
            match &mut self.format {
                // The low nibble of zlib's first byte is the method, 8. In raw deflate that would be a stored block with
                // non-zero padding, which no encoder writes.
                Format::Detect => self.format = Format::Deflate { zlib: byte & 0x0f == 8 },
                Format::Gzip(framing) if !framing.is_in_data() => match framing.feed(byte) {
                    Ok(()) => rest = after,
                    Err(gzip::NotGzip) if self.inflated > 0 => self.format = Format::End,
                    Err(gzip::NotGzip) => self.failed = true,
                },
                Format::Gzip(_) => rest = self.inflate(rest, 0, sink),
                Format::Deflate { zlib: false } => rest = self.inflate(rest, 0, sink),
                Format::Deflate { zlib: true } => rest = self.inflate(rest, TINFL_FLAG_PARSE_ZLIB_HEADER, sink),
                Format::End => return,
            }
        }
    }

    /// Feeds the decoded bytes to the reader; returns the bytes after the end of the compressed data.
    fn inflate<'b>(&mut self, bytes: &'b [u8], flags: u32, sink: &mut dyn Sink) -> &'b [u8] {
        let flags = flags | TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_IGNORE_ADLER32;
        let mut rest = bytes;
        while self.wants_more(sink) {
            let (status, read, written) =
                decompress(&mut self.decompressor, rest, &mut self.window, self.position, flags);
            rest = rest.get(read..).unwrap_or_default();
            sink.feed(
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
                _ => self.failed = sink.wants_more(),
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
            inflated,
            failed,
            _permit: _,
        } = self;
        let mut fields = f.debug_struct("Inflater");
        fields
            .field("format", format)
            .field("inflated", inflated)
            .field("failed", failed);
        fields.finish_non_exhaustive()
    }
}

// The encoder is a dependency of native tests only.
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
