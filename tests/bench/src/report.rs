//! The figures as tables for a person.

use std::fmt::Write;

use crate::run::{Figures, Slices, WorkloadFigures};
use crate::summary::Spread;
use crate::variant::Variant;

const TITLE: usize = 32;
const COLUMN: usize = 23;

/// All tables.
pub fn tables(figures: &Figures) -> String {
    let rounds = figures
        .workloads
        .first()
        .and_then(|workload| workload.variants.first())
        .map_or(0, |slices| slices.cpu_us.len());
    let mut text = format!(
        "Medians of {rounds} rounds. What is added is taken round by round; in brackets the middle half of the rounds.\n"
    );
    table(&mut text, "Envoy's CPU, µs a request", figures, |slices| {
        &slices.cpu_us
    });
    table(&mut text, "Latency at the client, p50, µs", figures, |slices| {
        &slices.p50_us
    });
    memory(&mut text, figures);
    text
}

fn table(text: &mut String, title: &str, figures: &Figures, of: fn(&Slices) -> &[f64]) {
    heading(text, title, figures);
    _ = writeln!(text, "{:>COLUMN$}", "infertally / C++");
    for WorkloadFigures { workload, variants } in &figures.workloads {
        _ = write!(text, "{:<TITLE$}", workload.title);
        let without = variants.first().map(of).unwrap_or_default();
        _ = write!(text, "{:>COLUMN$}", one(Spread::of(without.iter().copied())));
        for slices in variants.iter().skip(1) {
            _ = write!(text, "{:>COLUMN$}", added(Spread::of_added(of(slices), without)));
        }
        let added = |wanted: &Variant| {
            let at = figures.variants.iter().position(|variant| variant == wanted)?;
            Spread::of_added(of(variants.get(at)?), without).map(|spread| spread.median)
        };
        // Where the C++ filters add nothing that stands out of the noise, there is no ratio.
        let ratio = added(&Variant::Infertally)
            .zip(added(&Variant::Cpp).filter(|cpp| *cpp > 0.0))
            .map_or("-".to_owned(), |(ours, cpp)| format!("{:.2}", ours / cpp));
        _ = writeln!(text, "{ratio:>COLUMN$}");
    }
}

fn memory(text: &mut String, figures: &Figures) {
    heading(text, "Envoy's memory, MB", figures);
    _ = write!(text, "\n{:<TITLE$}", "resident, after all of it");
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

fn one(spread: Option<Spread>) -> String {
    spread.map_or("-".to_owned(), |spread| format!("{:.0}", spread.median))
}

fn added(spread: Option<Spread>) -> String {
    spread.map_or("-".to_owned(), |Spread { low, median, high }| {
        format!("{median:+.0} [{low:+.0}, {high:+.0}]")
    })
}
