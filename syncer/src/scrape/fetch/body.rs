//! [`Body`], a page in memory, and [`Writer`], which collects it.
//!
//! A page is held once: its bytes are appended to pieces of a fixed size, so nothing is joined at the end, no buffer is
//! copied into a larger one, and the heap is not fragmented. A piece ends at a line end, as parsers require: the start of a
//! line that does not fit moves to the next piece. What the pieces allocate is charged to the memory that all large pages
//! share, until the page is dropped.

use std::io;
use std::sync::Arc;

use memchr::memrchr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::FetchError;

/// Size of a piece: two hold a vLLM page.
const PIECE_BYTES: usize = 32 * 1024;
/// Bytes that every page may use without a permit: four times a vLLM page.
pub(super) const SMALL_PAGE_BYTES: usize = 256 * 1024;

/// The bytes of a page.
#[derive(Debug)]
pub struct Body {
    pieces: Vec<Vec<u8>>,
    /// One permit per byte above [`SMALL_PAGE_BYTES`].
    _permit: Option<OwnedSemaphorePermit>,
}

/// Collects a [`Body`] within limits.
pub(super) struct Writer {
    pieces: Vec<Vec<u8>>,
    /// The bytes written.
    length: usize,
    max_length: usize,
    /// The capacity of all pieces.
    allocated: usize,
    shared_bytes: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

// === impl Body ===

impl Body {
    /// A page that comes in these chunks, held as one that is fetched.
    ///
    /// # Errors
    /// [`FetchError::TooLarge`] if it has more than `max_length` bytes.
    pub fn from_chunks<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, max_length: usize) -> Result<Self, FetchError> {
        // Pieces hold up to twice the page.
        let mut writer = Writer::new(max_length, Arc::new(Semaphore::new(max_length.saturating_mul(2))));
        chunks.into_iter().try_for_each(|chunk| writer.push(chunk))?;
        Ok(writer.finish())
    }

    /// The page in pieces of whole lines; the last line may lack its line feed.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().map(Vec::as_slice)
    }
}

// === impl Writer ===

impl Writer {
    /// A page of up to `max_length` bytes; `shared_bytes` has one permit per byte.
    pub(super) fn new(max_length: usize, shared_bytes: Arc<Semaphore>) -> Self {
        Self {
            pieces: Vec::new(),
            length: 0,
            max_length,
            allocated: 0,
            shared_bytes,
            permit: None,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.length = self.length.saturating_add(bytes.len());
        if self.length > self.max_length {
            return Err(FetchError::TooLarge(self.max_length));
        }
        let mut rest = bytes;
        loop {
            if let Some(piece) = self.pieces.last_mut() {
                let (fitting, after) = rest.split_at(rest.len().min(piece.capacity() - piece.len()));
                piece.extend_from_slice(fitting);
                rest = after;
            }
            if rest.is_empty() {
                return Ok(());
            }
            self.make_room()?;
        }
    }

    /// Starts the next piece with the start of the last line. A line that fills a piece alone doubles it.
    fn make_room(&mut self) -> Result<(), FetchError> {
        let last = self.pieces.last().map(Vec::as_slice).unwrap_or_default();
        let Some(end) = memrchr(b'\n', last) else {
            let more = last.len().max(PIECE_BYTES);
            self.charge(more)?;
            match self.pieces.last_mut() {
                Some(piece) => piece.reserve_exact(more),
                None => self.pieces.push(Vec::with_capacity(more)),
            }
            return Ok(());
        };
        let carried = last.get(end + 1..).unwrap_or_default();
        let capacity = carried.len().max(PIECE_BYTES);
        let mut piece = Vec::with_capacity(capacity);
        piece.extend_from_slice(carried);
        self.charge(capacity)?;
        if let Some(last) = self.pieces.last_mut() {
            last.truncate(end + 1);
        }
        self.pieces.push(piece);
        Ok(())
    }

    /// A page that gets no permit fails at once: waiting would delay others, and several could wait for each other.
    fn charge(&mut self, bytes: usize) -> Result<(), FetchError> {
        self.allocated += bytes;
        let held = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = self.allocated.saturating_sub(SMALL_PAGE_BYTES + held);
        if missing == 0 {
            return Ok(());
        }
        let missing = u32::try_from(missing).map_err(|_| FetchError::MemoryExhausted)?;
        let more = Arc::clone(&self.shared_bytes).try_acquire_many_owned(missing);
        let more = more.map_err(|_| FetchError::MemoryExhausted)?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Body {
        Body {
            pieces: self.pieces,
            _permit: self.permit,
        }
    }
}

/// For decompression. The [`FetchError`] is in the I/O error.
impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
