//! What the filter's series must be after a number of exchanges, kept from the contract's own words: names, bounds,
//! rules of admission. The filter's table is not used, so a wrong row there is found here.

use std::collections::BTreeSet;

use crate::reading::Reading;
use crate::stats::{Series, Stats};

const DURATION: &str = "inference_model_request_duration_seconds";
const NTPOT: &str = "normalized_time_per_output_token_seconds";
const DURATION_BOUNDS: &str = "0.005 0.025 0.05 0.1 0.2 0.4 0.6 0.8 1 1.25 1.5 2 3 4 5 6 8 10 15 20 30 45 60 120 180 240 \
                               300 360 480 600 900 1200 1800 2700 3600";
const NTPOT_BOUNDS: &str = "0.001 0.002 0.005 0.01 0.02 0.05 0.1 0.2 0.5 1 2 5 10";
const REQUEST_BOUNDS: &str = "64 128 256 512 1024 2048 4096 8192 16384 32768 65536 131072 262144 524288 1.048576e+06 \
                              2.097152e+06 4.194304e+06 8.388608e+06 1.6777216e+07 3.3554432e+07 6.7108864e+07 \
                              1.34217728e+08 2.68435456e+08 5.36870912e+08 1.073741824e+09";
const ANSWER_BOUNDS: &str = "1 8 16 32 64 128 256 512 1024 2048 4096 8192 16384 32778 65536 131072 262144 524288 \
                             1.048576e+06 4.194304e+06 1.6777216e+07";
const INPUT_BOUNDS: &str =
    "1 8 16 32 64 128 256 512 1024 2048 4096 8192 16384 32778 65536 131072 262144 524288 1.048576e+06";
const OUTPUT_BOUNDS: &str = "1 8 16 32 64 128 256 512 1024 2048 4096 8192 16384 32768 65536";

/// All series of the exchanges so far. Those that hold times are there with their counts; see [`Expected::check`].
#[derive(Clone, Debug, Default)]
pub struct Expected {
    stats: Stats,
    admitted: BTreeSet<String>,
    workers: u64,
}

// === impl Expected ===

impl Expected {
    /// No exchange yet, in an Envoy with so many workers.
    pub fn new(workers: u64) -> Self {
        Self::admitting(workers, [])
    }

    /// The same where these names are configured.
    pub fn admitting<const N: usize>(workers: u64, names: [&str; N]) -> Self {
        let none = [
            Series::new("infertally_filter_config_errors", &[]),
            Series::new("infertally_filter_label_overflow_total", &[]),
            Series::new("infertally_filter_parse_failures_total", &[("source", "response")]),
            Series::new("infertally_filter_parse_failures_total", &[("source", "request")]),
        ];
        Self {
            workers,
            admitted: names.map(str::to_owned).into(),
            stats: none.map(|series| (series, 0)).into(),
        }
    }

    /// One more exchange. Its names must not hold anything that a label writes otherwise.
    pub fn add(&mut self, reading: &Reading) {
        let Reading {
            asked,
            answered,
            good,
            error,
            ..
        } = reading;
        let mut label = |name: &String| {
            if *good {
                self.admitted.insert(name.clone());
            }
            if self.admitted.contains(name) {
                name.clone()
            } else {
                "other".to_owned()
            }
        };
        let model = asked
            .as_ref()
            .or(answered.as_ref())
            .map_or("unknown".to_owned(), &mut label);
        let target = answered.as_ref().map_or(model.clone(), label);
        let pair = [("model_name", model.as_str()), ("target_model_name", target.as_str())];

        self.count("inference_model_request_total", &pair, &[]);
        if let Some(code) = error {
            self.count("inference_model_request_error_total", &pair, &[("error_code", code)]);
        }
        if reading.cancelled {
            self.count("inference_model_client_cancelled_total", &pair, &[]);
        }
        if let Some(source) = reading.source {
            self.count("inference_model_usage_total", &pair, &[("source", source)]);
        }
        if let Some(seconds) = reading.audio_seconds {
            let series = Series::new("inference_model_audio_seconds_total", &pair);
            *self.stats.entry(series).or_default() += seconds;
        }
        for reason in &reading.finish_reasons {
            self.count(
                "inference_model_finish_reason_total",
                &pair,
                &[("finish_reason", reason)],
            );
        }
        if reading.broken_request {
            self.count("infertally_filter_parse_failures_total", &[], &[("source", "request")]);
        }
        if model != "unknown" {
            self.stats
                .insert(Series::new("inference_model_running_requests", &pair[..1]), 0);
        }
        self.observe(
            "inference_model_request_sizes",
            &pair,
            REQUEST_BOUNDS,
            Some(reading.request_bytes),
        );
        self.observe(
            "inference_model_response_sizes",
            &pair,
            ANSWER_BOUNDS,
            Some(reading.answer_bytes),
        );
        self.observe("inference_model_input_tokens", &pair, INPUT_BOUNDS, reading.input);
        self.observe("inference_model_output_tokens", &pair, OUTPUT_BOUNDS, reading.output);
        self.observe(
            "inference_model_cached_input_tokens",
            &pair,
            INPUT_BOUNDS,
            reading.cached,
        );
        self.observe(
            "inference_model_reasoning_output_tokens",
            &pair,
            OUTPUT_BOUNDS,
            reading.reasoning,
        );
        self.observe(DURATION, &pair, DURATION_BOUNDS, Some(0));
        let per_token = error.is_none() && !reading.cancelled && reading.output.is_some_and(|tokens| tokens > 0);
        self.observe(NTPOT, &pair, NTPOT_BOUNDS, per_token.then_some(0));
    }

    fn count(&mut self, name: &str, pair: &[(&str, &str)], more: &[(&str, &str)]) {
        *self.stats.entry(Series::new(name, &[pair, more].concat())).or_default() += 1;
    }

    fn observe(&mut self, name: &str, pair: &[(&str, &str)], bounds: &str, value: Option<u64>) {
        let Some(value) = value else { return };
        for le in bounds.split_whitespace().chain(["+Inf"]) {
            let labels = [pair, &[("le", le)]].concat();
            let inside = le == "+Inf" || le.parse::<f64>().is_ok_and(|bound| value as f64 <= bound);
            *self
                .stats
                .entry(Series::new(format!("{name}_bucket"), &labels))
                .or_default() += u64::from(inside);
        }
        *self
            .stats
            .entry(Series::new(format!("{name}_count"), pair))
            .or_default() += 1;
        *self.stats.entry(Series::new(format!("{name}_sum"), pair)).or_default() += value;
        if let Some(stem) = name.strip_suffix("_seconds") {
            self.stats
                .entry(Series::new(format!("{stem}_microseconds_total"), pair))
                .or_default();
        }
    }

    /// How many exchanges there were.
    pub fn requests(&self) -> u64 {
        requests(&self.stats)
    }

    /// Holds a scrape against all exchanges: equality in every series, but for values that are times. Of those the
    /// histogram must be one, and its sum must fit its exact counter.
    ///
    /// # Errors
    /// Says all that is wrong.
    pub fn check(&self, scrape: &Stats) -> Result<(), String> {
        let mut seen = scrape.clone();
        // These are no exchange's, and two of them follow with the next heartbeat only.
        let apart = [
            "_info",
            "infertally_filter_admitted_models",
            "infertally_filter_memory_bytes",
        ];
        seen.retain(|series, _| !apart.iter().any(|name| series.name.ends_with(name)));
        let mut faults = Vec::new();
        for (series, value) in &mut seen {
            if let Some(fault) = self.settle_time(scrape, series, value) {
                faults.push(format!("  {series}: {fault}"));
            }
        }
        if seen != self.stats {
            faults.push(crate::stats::difference(&seen, &self.stats));
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults.join("\n"))
        }
    }

    /// Checks a value that is a time and puts the expected one in its place.
    fn settle_time(&self, scrape: &Stats, series: &Series, value: &mut u64) -> Option<String> {
        let name = [DURATION, NTPOT].into_iter().find(|name| {
            series.name.starts_with(name)
                || series.name == format!("{}_microseconds_total", name.trim_end_matches("_seconds"))
        })?;
        if series.name.ends_with("_count") || series.label("le") == "+Inf" {
            return None;
        }
        let other = |other: &str| {
            let series = Series {
                name: other.to_owned(),
                labels: without_le(series),
            };
            scrape.get(&series).copied().unwrap_or_default()
        };
        let count = other(&format!("{name}_count"));
        let micros = other(&format!("{}_microseconds_total", name.trim_end_matches("_seconds")));
        let fault = if series.name.ends_with("_bucket") {
            (*value > count).then(|| format!("{value} of {count}"))
        } else if series.name.ends_with("_sum") {
            // Each worker carries less than a second.
            let whole = micros / 1_000_000;
            (*value > whole || *value + self.workers <= whole).then(|| format!("{value} s of {micros} µs"))
        } else {
            // Loopback takes some microseconds, and nothing here takes hours.
            (micros < count || micros > count * 3_600_000_000).then(|| format!("{micros} µs for {count}"))
        };
        *value = self.stats.get(series).copied().unwrap_or(u64::MAX);
        fault
    }
}

/// All requests in a scrape.
pub fn requests(stats: &Stats) -> u64 {
    stats
        .iter()
        .filter(|(series, _)| series.name == "inference_model_request_total")
        .map(|(_, value)| value)
        .sum()
}

fn without_le(series: &Series) -> std::collections::BTreeMap<String, String> {
    let mut labels = series.labels.clone();
    labels.remove("le");
    labels
}
