//! Medians of paired slices. The speed of a machine changes during a run, and changes alike for all variants of a round.

/// The quartiles of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The 25th percentile.
    pub low: f64,
    /// The 50th percentile.
    pub median: f64,
    /// The 75th percentile.
    pub high: f64,
}

// === impl Spread ===

impl Spread {
    /// `None` if there are no numbers.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<_> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            low: quantile(&sorted, 0.25)?,
            median: quantile(&sorted, 0.5)?,
            high: quantile(&sorted, 0.75)?,
        })
    }

    /// The quartiles of the differences, pair by pair.
    pub(crate) fn of_differences(with: &[f64], without: &[f64]) -> Option<Self> {
        Self::of(with.iter().zip(without).map(|(with, without)| with - without))
    }

    /// The difference between the 10th percentiles, as other work on the machine only adds time. A single figure without a
    /// spread.
    pub(crate) fn of_fastest(with: &[f64], without: &[f64]) -> Option<Self> {
        let fastest = |numbers: &[f64]| {
            let mut sorted = numbers.to_vec();
            sorted.sort_by(f64::total_cmp);
            quantile(&sorted, 0.1)
        };
        let difference = fastest(with)? - fastest(without)?;
        Some(Self {
            low: difference,
            median: difference,
            high: difference,
        })
    }
}

/// Interpolates linearly between sorted numbers.
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let position = q * sorted.len().checked_sub(1)? as f64;
    let below = sorted.get(position.floor() as usize)?;
    let above = sorted.get(position.ceil() as usize)?;
    Some(below + (above - below) * position.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_contains_the_quartiles() {
        let spread = Spread::of([5.0, 1.0, 3.0, 2.0, 4.0]).unwrap();
        assert_eq!((spread.low, spread.median, spread.high), (2.0, 3.0, 4.0));
        assert_eq!(Spread::of([1.0, 2.0]).map(|spread| spread.median), Some(1.5));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_slow_round_does_not_change_the_differences() {
        let without = [100.0, 300.0, 110.0];
        let with = [120.0, 320.0, 130.0];
        assert_eq!(
            Spread::of_differences(&with, &without).map(|spread| spread.high),
            Some(20.0)
        );
        assert_eq!(
            Spread::of_fastest(&[9.0, 5.0, 7.0], &[1.0]).map(|spread| spread.median),
            Some(5.4 - 1.0)
        );
    }
}
