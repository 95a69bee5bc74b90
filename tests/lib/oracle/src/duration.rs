//! The duration of a single exchange, as the scrapes before and after it show it.

use crate::metrics::HISTOGRAMS;
use crate::stats::{Series, Stats};

/// Checks that one exchange was added, that it took no longer than `took_us`, and that each bucket fits its exact counter.
///
/// # Errors
/// The first fault.
pub fn check(before: &Stats, after: &Stats, took_us: u64) -> Result<(), String> {
    let [histogram, ..] = &HISTOGRAMS;
    let rise = |series: &Series| {
        let value = |stats: &Stats| stats.get(series).copied().unwrap_or_default();
        value(after).saturating_sub(value(before))
    };
    let counter = histogram.microseconds().unwrap_or_default();
    let risen: Vec<_> = after
        .keys()
        .filter(|series| series.name == counter && rise(series) > 0)
        .collect();
    let [counter] = risen[..] else {
        return Err(format!("one counter must rise: {risen:?}"));
    };
    let duration_us = rise(counter);
    if duration_us > took_us {
        return Err(format!("{duration_us} µs of the client's {took_us}"));
    }
    for (le, bound) in histogram.bounds() {
        let mut bucket = Series {
            name: format!("{}_bucket", histogram.name),
            ..counter.clone()
        };
        bucket.labels.insert("le".to_owned(), le.to_owned());
        let wanted = u64::from(duration_us as f64 <= bound);
        if !after.contains_key(&bucket) || rise(&bucket) != wanted {
            return Err(format!(
                "{bucket} rose by {}, not {wanted}, for {duration_us} µs",
                rise(&bucket)
            ));
        }
    }
    Ok(())
}
