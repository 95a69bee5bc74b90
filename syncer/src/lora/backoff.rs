//! How long to leave an adapter alone after it failed.

use std::time::Duration;

/// After the first failure: the reference's interval between passes, so one failure costs no more than it did there.
const FIRST: Duration = Duration::from_secs(5);
/// However often it failed: somebody who mends the server's disk should not wait longer.
const LONGEST: Duration = Duration::from_secs(300);

/// The time after so many failures in a row. It doubles, and `jitter`, from 0 to 1, takes off up to half of it, so that
/// what failed together isn't tried again together.
pub fn delay(failures: u32, jitter: f64) -> Duration {
    let doubled = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let whole = FIRST.saturating_mul(doubled).min(LONGEST);
    // A number that is none takes nothing off.
    let jitter = if jitter.is_finite() {
        jitter.clamp(0.0, 1.0)
    } else {
        0.0
    };
    whole.mul_f64(1.0 - jitter / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_a_cap() {
        let seconds: Vec<_> = (0..10).map(|failures| delay(failures, 0.0).as_secs()).collect();
        assert_eq!(seconds, [5, 5, 10, 20, 40, 80, 160, 300, 300, 300]);
        for failures in [31, 32, 33, 64, u32::MAX] {
            assert_eq!(delay(failures, 0.0), LONGEST, "{failures}");
        }
    }

    #[test]
    fn jitter_takes_off_up_to_half() {
        assert_eq!(delay(2, 0.5), Duration::from_millis(7500));
        assert_eq!(delay(2, 1.0), Duration::from_secs(5));
        for odd in [f64::NAN, f64::INFINITY, -1.0] {
            assert_eq!(delay(2, odd), Duration::from_secs(10));
        }
        assert_eq!(delay(2, 7.0), Duration::from_secs(5));
    }
}
