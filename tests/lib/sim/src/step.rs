//! Owns the steps of sending a body, without what the bytes mean.

use std::time::Duration;

use bytes::Bytes;

#[derive(Debug)]
pub(crate) enum Step {
    Frame(Bytes),
    Wait(Duration),
    /// The connection is aborted here.
    Abort,
    /// Nothing more is sent until the client disconnects.
    Hang,
}

/// How a body ends after its last frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    Complete,
    Abort,
    Hang,
}

/// The bytes that the steps send.
pub(crate) fn length(steps: &[Step]) -> u64 {
    steps.iter().map(Step::length).fold(0, u64::saturating_add)
}

/// The steps up to `at` bytes, and an abort there; a shorter body stays complete.
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

// === impl Step ===

impl Step {
    fn length(&self) -> u64 {
        match self {
            Self::Frame(frame) => u64::try_from(frame.len()).unwrap_or(u64::MAX),
            Self::Wait(_) | Self::Abort | Self::Hang => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_aborts_after_that_many_bytes_and_never_beyond_the_end() {
        let steps = || {
            let wait = || Step::Wait(Duration::from_millis(1));
            let frame = |text: &'static str| Step::Frame(Bytes::from_static(text.as_bytes()));
            vec![frame("abcd"), wait(), frame("ef"), wait(), frame("ghijk")]
        };
        for at in 0..=11 {
            let cut = cut(steps(), at);
            assert_eq!(length(&cut), at);
            assert!(matches!(cut.last(), Some(Step::Abort)), "{at}");
        }
        let uncut = cut(steps(), 12);
        assert!(!uncut.iter().any(|step| matches!(step, Step::Abort)));
    }
}
