//! Builds the steps of a body: compresses it, cuts it into writes and puts waits between events.

use std::io::{self, Write};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::behaviour::{Chunking, Encoding};
use crate::step::{BodyEnd, Step};

/// Takes the body part by part and returns its steps.
pub(crate) struct BodyBuilder {
    steps: Vec<Step>,
    chunking: Chunking,
    encoder: Encoder,
    /// Bytes of a write that is not full yet.
    held: BytesMut,
}

enum Encoder {
    Plain,
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
}

// === impl BodyBuilder ===

impl BodyBuilder {
    pub(crate) fn new(chunking: Chunking, encoding: Option<Encoding>) -> Self {
        let encoder = match encoding {
            None => Encoder::Plain,
            Some(Encoding::Gzip) => Encoder::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
            Some(Encoding::Deflate) => Encoder::Deflate(ZlibEncoder::new(Vec::new(), Compression::fast())),
        };
        Self {
            steps: Vec::new(),
            chunking,
            encoder,
            held: BytesMut::new(),
        }
    }

    /// Adds a part. A compressed part is flushed, so the reader can decode all of it as soon as it is sent.
    pub(crate) fn part(&mut self, part: impl Into<Bytes>) -> io::Result<()> {
        let part = self.encoder.part(part.into())?;
        self.push(part);
        Ok(())
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        if !time.is_zero() {
            self.steps.push(Step::Wait(time));
        }
    }

    /// The steps of the body. Where it does not end cleanly, a compressed body lacks its trailer too.
    pub(crate) fn finish(mut self, end: BodyEnd) -> io::Result<Vec<Step>> {
        if end == BodyEnd::Complete {
            let rest = std::mem::replace(&mut self.encoder, Encoder::Plain).finish()?;
            self.push(rest);
        }
        if !self.held.is_empty() {
            self.steps.push(Step::Frame(self.held.freeze()));
        }
        match end {
            BodyEnd::Complete => {}
            BodyEnd::Abort => self.steps.push(Step::Abort),
            BodyEnd::Hang => self.steps.push(Step::Hang),
        }
        Ok(self.steps)
    }

    fn push(&mut self, part: Bytes) {
        let size = match self.chunking {
            Chunking::Events => {
                if !part.is_empty() {
                    self.steps.push(Step::Frame(part));
                }
                return;
            }
            Chunking::Whole => usize::MAX,
            Chunking::Bytes(size) => size.get(),
        };
        self.held.extend_from_slice(&part);
        while self.held.len() >= size {
            self.steps.push(Step::Frame(self.held.split_to(size).freeze()));
        }
    }
}

// === impl Encoder ===

impl Encoder {
    fn part(&mut self, part: Bytes) -> io::Result<Bytes> {
        let out = match self {
            Self::Plain => return Ok(part),
            Self::Gzip(encoder) => {
                encoder.write_all(&part)?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
            Self::Deflate(encoder) => {
                encoder.write_all(&part)?;
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
        };
        Ok(out.into())
    }

    fn finish(self) -> io::Result<Bytes> {
        let out = match self {
            Self::Plain => Vec::new(),
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Deflate(encoder) => encoder.finish()?,
        };
        Ok(out.into())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn frames(steps: &[Step]) -> Vec<&[u8]> {
        steps
            .iter()
            .filter_map(|step| {
                if let Step::Frame(frame) = step {
                    Some(&frame[..])
                } else {
                    None
                }
            })
            .collect()
    }

    fn steps(chunking: Chunking, end: BodyEnd) -> Vec<Step> {
        let mut builder = BodyBuilder::new(chunking, None);
        for (index, part) in ["abcd", "ef", "ghijk"].into_iter().enumerate() {
            if index > 0 {
                builder.wait(Duration::from_millis(1));
            }
            builder.part(part).unwrap();
        }
        builder.finish(end).unwrap()
    }

    #[test]
    fn a_write_spans_parts_and_follows_the_wait_for_its_last_one() {
        let three = Chunking::Bytes(NonZeroUsize::new(3).unwrap());
        let steps = steps(three, BodyEnd::Complete);
        assert_eq!(frames(&steps), [&b"abc"[..], b"def", b"ghi", b"jk"]);
        let waits: Vec<usize> = steps
            .iter()
            .enumerate()
            .filter(|(_, step)| matches!(step, Step::Wait(_)))
            .map(|(at, _)| at)
            .collect();
        assert_eq!(waits, [1, 3]);
    }

    #[test]
    fn a_write_is_a_part_or_the_whole_body() {
        assert_eq!(
            frames(&steps(Chunking::Events, BodyEnd::Complete)),
            [&b"abcd"[..], b"ef", b"ghijk"]
        );
        assert_eq!(frames(&steps(Chunking::Whole, BodyEnd::Hang)), [b"abcdefghijk"]);
    }
}
