//! Owns how a body becomes the steps of its sending: compressed if asked, cut into pieces, with waits between events
//! and the fault at its end.

use std::io::{self, Write};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::behaviour::{Chunking, Encoding};
use crate::body::Step;
use crate::stream::Stop;

/// Takes the body part by part and gives the steps.
pub(crate) struct Pieces {
    steps: Vec<Step>,
    chunking: Chunking,
    encoder: Encoder,
    /// Bytes that wait for their piece to be full.
    held: BytesMut,
}

enum Encoder {
    Plain,
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
}

// === impl Pieces ===

impl Pieces {
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

    /// Adds a part that is to reach the reader as soon as it is sent: a compressed part can be read to its end.
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

    /// The steps of the whole body. Where it does not end cleanly, a compressed body lacks its end too.
    pub(crate) fn stop(mut self, stop: Stop) -> io::Result<Vec<Step>> {
        if stop == Stop::Clean {
            let rest = std::mem::replace(&mut self.encoder, Encoder::Plain).finish()?;
            self.push(rest);
        }
        if !self.held.is_empty() {
            self.steps.push(Step::Frame(self.held.freeze()));
        }
        match stop {
            Stop::Clean => {}
            Stop::Abort => self.steps.push(Step::Abort),
            Stop::Hang => self.steps.push(Step::Hang),
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

/// How many bytes the steps send.
pub(crate) fn length(steps: &[Step]) -> u64 {
    steps.iter().map(Step::length).fold(0, u64::saturating_add)
}

/// The steps up to so many bytes, and an abort there; a shorter body stays as it is.
pub(crate) fn cut(steps: Vec<Step>, at: u64) -> Vec<Step> {
    if at > length(&steps) {
        return steps;
    }
    let mut left = at;
    let mut kept = Vec::new();
    for step in steps {
        match step {
            _ if left == 0 => break,
            Step::Frame(frame) => {
                let take = usize::try_from(left).unwrap_or(usize::MAX).min(frame.len());
                left = left.saturating_sub(u64::try_from(take).unwrap_or(u64::MAX));
                kept.push(Step::Frame(frame.slice(..take)));
            }
            other => kept.push(other),
        }
    }
    kept.push(Step::Abort);
    kept
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

    fn steps(chunking: Chunking, stop: Stop) -> Vec<Step> {
        let mut pieces = Pieces::new(chunking, None);
        for (place, part) in ["abcd", "ef", "ghijk"].into_iter().enumerate() {
            if place > 0 {
                pieces.wait(Duration::from_millis(1));
            }
            pieces.part(part).unwrap();
        }
        pieces.stop(stop).unwrap()
    }

    #[test]
    fn pieces_go_across_parts_and_a_part_that_is_not_there_yet_is_waited_for() {
        let three = Chunking::Bytes(NonZeroUsize::new(3).unwrap());
        let steps = steps(three, Stop::Clean);
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
    fn parts_or_the_whole_are_frames_where_asked() {
        assert_eq!(
            frames(&steps(Chunking::Events, Stop::Clean)),
            [&b"abcd"[..], b"ef", b"ghijk"]
        );
        assert_eq!(frames(&steps(Chunking::Whole, Stop::Hang)), [b"abcdefghijk"]);
    }

    #[test]
    fn a_cut_stands_after_so_many_bytes_and_a_longer_one_nowhere() {
        for at in 0..=11 {
            let cut = cut(steps(Chunking::Events, Stop::Clean), at);
            assert_eq!(length(&cut), at);
            assert!(matches!(cut.last(), Some(Step::Abort)), "{at}");
        }
        let whole = cut(steps(Chunking::Events, Stop::Clean), 12);
        assert!(!whole.iter().any(|step| matches!(step, Step::Abort)));
    }
}
