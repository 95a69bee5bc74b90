//! Medians of paired slices: machines get faster and slower while they measure, all variants of a round alike.

/// The middle half of some numbers, and their middle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// A quarter of the numbers is below.
    pub low: f64,
    /// Half of them.
    pub median: f64,
    /// Three quarters.
    pub high: f64,
}

// === impl Spread ===

impl Spread {
    /// `None` of no numbers.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<_> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            low: quantile(&sorted, 0.25)?,
            median: quantile(&sorted, 0.5)?,
            high: quantile(&sorted, 0.75)?,
        })
    }

    /// Of the differences between two rows, pair by pair.
    pub(crate) fn of_added(with: &[f64], without: &[f64]) -> Option<Self> {
        Self::of(with.iter().zip(without).map(|(with, without)| with - without))
    }

    /// Of the quietest slices of each row: other work on the machine only adds. One figure, no spread.
    pub(crate) fn of_quiet(with: &[f64], without: &[f64]) -> Option<Self> {
        let quiet = |numbers: &[f64]| {
            let mut sorted = numbers.to_vec();
            sorted.sort_by(f64::total_cmp);
            quantile(&sorted, 0.1)
        };
        let added = quiet(with)? - quiet(without)?;
        Some(Self {
            low: added,
            median: added,
            high: added,
        })
    }
}

/// Of sorted numbers, between two of them where it falls there.
fn quantile(sorted: &[f64], at: f64) -> Option<f64> {
    let place = at * sorted.len().checked_sub(1)? as f64;
    let below = sorted.get(place.floor() as usize)?;
    let above = sorted.get(place.ceil() as usize)?;
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_middle_half() {
        let spread = Spread::of([5.0, 1.0, 3.0, 2.0, 4.0]).unwrap();
        assert_eq!((spread.low, spread.median, spread.high), (2.0, 3.0, 4.0));
        assert_eq!(Spread::of([1.0, 2.0]).map(|spread| spread.median), Some(1.5));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_slow_round_spoils_no_difference() {
        let without = [100.0, 300.0, 110.0];
        let with = [120.0, 320.0, 130.0];
        assert_eq!(Spread::of_added(&with, &without).map(|spread| spread.high), Some(20.0));
        assert_eq!(
            Spread::of_quiet(&[9.0, 5.0, 7.0], &[1.0]).map(|spread| spread.median),
            Some(5.4 - 1.0)
        );
    }
}
