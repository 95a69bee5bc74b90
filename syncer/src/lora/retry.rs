//! The retry state of an adapter: its last failure, and an exponential backoff with jitter until the next attempt.
//!
//! The backoff is a function of its arguments, so that tests need no clock and no random numbers.

use std::time::{Duration, Instant};

use super::request::Operation;
use super::response::RequestError;

/// The interval at which Gateway API Inference Extension's LoRA sidecar retries: one failure costs no more than it did
/// there.
const INITIAL: Duration = Duration::from_secs(5);
/// Long enough to spare a server that fails each time; short enough for someone who has just fixed its disk.
const MAX: Duration = Duration::from_secs(300);
/// The same for an attempt that takes a loaded adapter out of service: a server that cannot reload in place unloads it
/// first. A wrong source costs no more than a moment an hour, and one that is right later is loaded all the same.
const INITIAL_REPLACE: Duration = Duration::from_secs(300);
const MAX_REPLACE: Duration = Duration::from_secs(3600);

/// Failures of one adapter in a row, and when to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The operation that failed last.
    pub operation: Operation,
    /// Why it failed.
    pub error: RequestError,
    /// From that failure to the next attempt, as it is expected.
    pub delay: Duration,
    /// No attempt before this.
    pub at: Instant,
    /// No attempt before this that takes the adapter out of service.
    pub replace_at: Instant,
    failures: u32,
}

// === impl Retry ===

impl Retry {
    /// The state after one more failure. `after_unload` if the adapter was unloaded for the attempt. `jitter` is from 0 to 1.
    pub(super) fn after(
        previous: Option<&Self>,
        operation: Operation,
        after_unload: bool,
        error: RequestError,
        now: Instant,
        jitter: f64,
    ) -> Self {
        let failures = previous.map_or(0, |previous| previous.failures).saturating_add(1);
        let delay = backoff(failures, jitter, INITIAL, MAX);
        let replace_delay = match operation {
            Operation::Unload => delay,
            Operation::Load | Operation::Reload | Operation::Restore => {
                backoff(failures, jitter, INITIAL_REPLACE, MAX_REPLACE)
            }
        };
        Self {
            operation,
            error,
            delay: if after_unload { replace_delay } else { delay },
            at: now + delay,
            replace_at: now + replace_delay,
            failures,
        }
    }
}

/// Doubles with each failure. `jitter`, from 0 to 1, takes off up to half, so that adapters that failed together are not
/// retried together.
fn backoff(failures: u32, jitter: f64, initial: Duration, max: Duration) -> Duration {
    let factor = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let delay = initial.saturating_mul(factor).min(max);
    let jitter = if jitter.is_finite() {
        jitter.clamp(0.0, 1.0)
    } else {
        0.0
    };
    delay.mul_f64(1.0 - jitter / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(failures: u32, jitter: f64) -> Duration {
        super::backoff(failures, jitter, INITIAL, MAX)
    }

    #[test]
    fn attempts_that_take_an_adapter_out_of_service_are_rare() {
        let now: Instant = tokio::time::Instant::now().into_std();
        let error = RequestError {
            reason: crate::lora::Reason::LoadFailed,
            message: String::new(),
        };
        let mut retry: Option<Retry> = None;
        let mut delays = Vec::new();
        for _ in 0..6 {
            let next = Retry::after(retry.as_ref(), Operation::Load, true, error.clone(), now, 0.0);
            delays.push(((next.at - now).as_secs(), (next.replace_at - now).as_secs()));
            retry = Some(next);
        }
        assert_eq!(
            delays,
            [(5, 300), (10, 600), (20, 1200), (40, 2400), (80, 3600), (160, 3600)]
        );
    }

    #[test]
    fn backoff_doubles_up_to_its_maximum() {
        let seconds: Vec<_> = (0..10).map(|failures| backoff(failures, 0.0).as_secs()).collect();
        assert_eq!(seconds, [5, 5, 10, 20, 40, 80, 160, 300, 300, 300]);
        for failures in [31, 32, 33, 64, u32::MAX] {
            assert_eq!(backoff(failures, 0.0), MAX, "{failures}");
        }
    }

    #[test]
    fn jitter_shortens_the_delay_by_up_to_half() {
        assert_eq!(backoff(2, 0.5), Duration::from_millis(7500));
        assert_eq!(backoff(2, 1.0), Duration::from_secs(5));
        assert_eq!(backoff(2, 7.0), Duration::from_secs(5));
        for invalid in [f64::NAN, f64::INFINITY, -1.0] {
            assert_eq!(backoff(2, invalid), Duration::from_secs(10), "{invalid}");
        }
    }
}
