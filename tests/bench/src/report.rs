//! Formats the figures as tables.

use std::fmt::Write;

use crate::run::{Figures, Slices, WorkloadFigures};
use crate::summary::Spread;
use crate::variant::Variant;

const TITLE: usize = 32;
const COLUMN: usize = 23;

/// Returns the tables of CPU time, latency and memory.
pub fn tables(figures: &Figures) -> String {
    let rounds = figures
        .workloads
        .first()
        .and_then(|workload| workload.variants.first())
        .map_or(0, |slices| slices.cpu_us.len());
    let mut text = format!(
        "Medians of {rounds} rounds. Differences to no filter are taken per round, with the 25th and 75th percentile in brackets.\n\
         10th percentile: compares the fastest slices, which other work on the machine disturbs least.\n"
    );
    let cpu: fn(&Slices) -> &[f64] = |slices| &slices.cpu_us;
    let p50: fn(&Slices) -> &[f64] = |slices| &slices.p50_us;
    table(&mut text, "CPU, µs per request", figures, cpu, Spread::of_differences);
    table(&mut text, "The same, 10th percentile", figures, cpu, Spread::of_fastest);
    table(
        &mut text,
        "Client latency, p50, µs",
        figures,
        p50,
        Spread::of_differences,
    );
    let p99: fn(&Slices) -> &[f64] = |slices| &slices.p99_us;
    table(
        &mut text,
        "Client latency, p99, µs",
        figures,
        p99,
        Spread::of_differences,
    );
    memory(&mut text, figures);
    text
}

/// Compares the slices of a variant with those of the Envoy without a filter.
type Compare = fn(&[f64], &[f64]) -> Option<Spread>;

fn table(text: &mut String, title: &str, figures: &Figures, of: fn(&Slices) -> &[f64], compare: Compare) {
    heading(text, title, figures);
    _ = writeln!(text, "{:>COLUMN$}", "infertally / C++");
    for WorkloadFigures { workload, variants } in &figures.workloads {
        _ = write!(text, "{:<TITLE$}", workload.title);
        let without = variants.first().map(of).unwrap_or_default();
        let none = vec![0.0; without.len()];
        let alone = compare(without, &none).map(|spread| format!("{:.0}", spread.median));
        _ = write!(text, "{:>COLUMN$}", or_dash(alone));
        for slices in variants.iter().skip(1) {
            _ = write!(
                text,
                "{:>COLUMN$}",
                or_dash(compare(of(slices), without).map(difference))
            );
        }
        let median = |searched: &Variant| {
            let at = figures.variants.iter().position(|variant| variant == searched)?;
            compare(of(variants.get(at)?), without).map(|spread| spread.median)
        };
        // There is no ratio if the cost of the C++ filters is within the noise.
        let ratio = median(&Variant::Infertally)
            .zip(median(&Variant::Cpp).filter(|cpp| *cpp > 0.0))
            .map(|(ours, cpp)| format!("{:.2}", ours / cpp));
        _ = writeln!(text, "{:>COLUMN$}", or_dash(ratio));
    }
}

fn memory(text: &mut String, figures: &Figures) {
    heading(text, "Envoy's memory, MB", figures);
    _ = write!(text, "\n{:<TITLE$}", "resident, at the end");
    for bytes in &figures.resident_bytes {
        _ = write!(text, "{:>COLUMN$.1}", *bytes as f64 / 1e6);
    }
    text.push('\n');
}

fn heading(text: &mut String, title: &str, figures: &Figures) {
    _ = write!(text, "\n{title:<TITLE$}");
    for variant in &figures.variants {
        _ = write!(text, "{:>COLUMN$}", variant.title());
    }
}

fn difference(Spread { low, median, high }: Spread) -> String {
    if low == high {
        format!("{median:+.0}")
    } else {
        format!("{median:+.0} [{low:+.0}, {high:+.0}]")
    }
}

fn or_dash(figure: Option<String>) -> String {
    figure.unwrap_or("-".to_owned())
}
