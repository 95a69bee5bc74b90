//! Properties of torn pages, which Envoy renders while its workers count, and of arbitrary pages.

use std::fmt::Write;

use infertally_filter::metrics::MetricId;
use proptest::prelude::*;

use super::*;
use crate::exposition::{Histogram, Value};

const METRIC: MetricId = MetricId::OutputTokens;

/// The histogram of a page on which each counter is read at its own moment: after how many of the observations.
fn torn(observed: &[u64], moments: &[usize]) -> Histogram {
    let metric = METRIC.metric();
    let bounds = super::counters::bounds(metric);
    let ats = bounds
        .iter()
        .map(|bound| (bound.le, bound.at))
        .chain([("+Inf", u64::MAX)]);
    let mut page = String::new();
    let mut moments = moments.iter();
    let mut observed_so_far = || &observed[..*moments.next().unwrap()];
    for (le, at) in ats {
        let count = observed_so_far().iter().filter(|value| **value <= at).count();
        _ = writeln!(
            page,
            "{}_bucket{{model_name=\"m\",target_model_name=\"m\",le=\"{le}\"}} {count}",
            metric.name
        );
    }
    let sum: u64 = observed_so_far().iter().sum();
    _ = writeln!(
        page,
        "{}_sum{{model_name=\"m\",target_model_name=\"m\"}} {sum}",
        metric.name
    );
    let page = read([page.as_bytes()]).unwrap();
    match families([("e", &page)], false)[0].series[0].value.clone() {
        Value::Histogram(histogram) => histogram,
        other => panic!("{other:?}"),
    }
}

/// The cumulative counts, including `_count`.
fn counts(histogram: &Histogram) -> Vec<u64> {
    let buckets = histogram.buckets.iter().map(|(_, count)| *count);
    buckets.chain([histogram.count]).collect()
}

fn exact(observed: &[u64]) -> Histogram {
    torn(observed, &[observed.len(); 17])
}

prop_compose! {
    /// Observations, and the moments of each counter on two consecutive pages.
    fn two_pages()(observed in prop::collection::vec(0u64..100_000, 1..60))(
        first in prop::collection::vec(0..=observed.len() / 2, 17),
        second in prop::collection::vec(observed.len() / 2..=observed.len(), 17),
        observed in Just(observed),
    ) -> (Vec<u64>, Vec<usize>, Vec<usize>) {
        (observed, first, second)
    }
}

proptest! {
    #[test]
    fn a_torn_page_gives_a_cumulative_histogram_that_is_off_by_no_more_than_what_was_in_flight(
        (observed, first, second) in two_pages()
    ) {
        let mut before = Vec::new();
        for moments in [&first, &second] {
            let served = counts(&torn(&observed, moments));
            prop_assert!(served.is_sorted(), "{served:?}");
            let (start, end) = (moments[..16].iter().min().unwrap(), moments[..16].iter().max().unwrap());
            let (least, most) = (counts(&exact(&observed[..*start])), counts(&exact(&observed[..*end])));
            for (count, (least, most)) in served.iter().zip(least.iter().zip(&most)) {
                prop_assert!((least..=most).contains(&count), "{count} of {least} to {most}");
            }
            // No count falls from page to page.
            prop_assert!(before.iter().zip(&served).all(|(before, after)| before <= after), "{before:?} {served:?}");
            before = served;
        }
    }

    #[test]
    fn a_page_rendered_at_rest_is_exact(observed in prop::collection::vec(0u64..100_000, 0..60)) {
        let histogram = exact(&observed);
        prop_assert_eq!(histogram.sum, observed.iter().sum::<u64>() as f64);
        prop_assert_eq!(histogram.count, observed.len() as u64);
        for (le, count) in &histogram.buckets {
            let bound: f64 = le.parse().unwrap();
            let inside = observed.iter().filter(|value| **value as f64 <= bound).count();
            prop_assert_eq!(*count, inside as u64);
        }
    }

    /// The sum is the float that is nearest to the decimal number of seconds.
    #[test]
    fn a_sum_in_seconds_is_exact_to_the_microsecond(microseconds in 0u64..1 << 53) {
        let page = format!(
            "inference_model_request_duration_seconds_bucket{{model_name=\"m\",target_model_name=\"m\",le=\"+Inf\"}} 1\n\
             inference_model_request_duration_microseconds_total{{model_name=\"m\",target_model_name=\"m\"}} {microseconds}\n"
        );
        let page = read([page.as_bytes()]).unwrap();
        let families = families([("e", &page)], false);
        let Value::Histogram(histogram) = &families[0].series[0].value else { panic!("{families:?}") };
        let decimal = format!("{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000);
        prop_assert_eq!(histogram.sum, decimal.parse::<f64>().unwrap());
    }

    #[test]
    fn no_page_makes_the_reader_panic_or_gives_duplicate_series(
        lines in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "inference_model_request_total", "inference_model_input_tokens_bucket", "inference_model_input_tokens_sum",
                    "inference_model_running_requests", "infertally_filter_admitted_models", "envoy_x",
                ]),
                prop::sample::subsequence(vec!["model_name=\"a\"", "target_model_name=\"b\"", "le=\"8\"", "le=\"+Inf\"", "x=\"y\""], 0..5),
                prop::sample::select(vec!["0", "1", "NaN", "-1", "0.5", "1e30"]),
            ),
            0..40,
        )
    ) {
        let mut page = String::new();
        for (name, labels, value) in lines {
            _ = writeln!(page, "{name}{{{}}} {value}", labels.join(","));
        }
        let page = read([page.as_bytes()]).unwrap();
        for family in families([("e", &page)], true) {
            let labels: std::collections::HashSet<_> = family.series.iter().map(|series| &series.labels).collect();
            prop_assert_eq!(labels.len(), family.series.len());
        }
    }
}
