//! Encodes families as a page, in the text format 0.0.4 or in OpenMetrics.
//!
//! No maintained crate fits. `prometheus-client`, `prometheus` and `metrics-exporter-prometheus` store a bound as a float
//! and format it themselves, but dashboards select buckets by the text of `le`; and they encode only their own registry,
//! while the syncer passes on the counts of others.
//!
//! Invariant: Prometheus accepts every page, provided that the caller's names are valid and its series unique. A family
//! without series is omitted: absent is not zero.

use std::fmt::{self, Write};
use std::sync::Arc;

use super::family::{Family, Histogram, Kind, Value};
use super::format::Format;

/// The suffix of counters. In OpenMetrics samples have it, families do not.
const TOTAL: &str = "_total";
/// From here up, floats are written with an exponent, as Go does.
const LARGE: f64 = 1e21;
/// Below this, too.
const SMALL: f64 = 1e-4;

/// Appends `families` to `out` as one complete page.
pub fn encode(families: &[Family], format: Format, out: &mut String) {
    for family in families.iter().filter(|family| !family.series.is_empty()) {
        write_family(family, format, out);
    }
    if format == Format::OpenMetrics {
        out.push_str("# EOF\n");
    }
}

fn write_family(family: &Family, format: Format, out: &mut String) {
    let Family {
        name,
        help,
        kind,
        series,
    } = family;
    let (family_name, kind) = match (format, kind) {
        (_, Kind::Gauge) => (name.as_ref(), "gauge"),
        (_, Kind::Histogram) => (name.as_ref(), "histogram"),
        (Format::Text, Kind::Counter) => (name.as_ref(), "counter"),
        (Format::OpenMetrics, Kind::Counter) => match name.strip_suffix(TOTAL) {
            Some(family_name) => (family_name, "counter"),
            // OpenMetrics requires the suffix of a counter's samples, and the name must not depend on the format.
            None => (name.as_ref(), "unknown"),
        },
    };
    put(out, format_args!("# HELP {family_name} "));
    escape(help, format == Format::OpenMetrics, out);
    put(out, format_args!("\n# TYPE {family_name} {kind}\n"));
    for series in series {
        let labels = &series.labels;
        match &series.value {
            Value::Float(value) => write_sample(name, "", labels, None, Number::Float(*value), out),
            Value::Integer(value) => write_sample(name, "", labels, None, Number::Integer(*value), out),
            Value::Histogram(histogram) => write_histogram(name, labels, histogram, out),
        }
    }
}

fn write_histogram(name: &str, labels: &[(&str, Arc<str>)], histogram: &Histogram, out: &mut String) {
    let Histogram { buckets, sum, count } = histogram;
    let count = Number::Integer(*count);
    for (bound, cumulative) in buckets {
        write_sample(name, "_bucket", labels, Some(bound), Number::Integer(*cumulative), out);
    }
    write_sample(name, "_bucket", labels, Some("+Inf"), count, out);
    write_sample(name, "_sum", labels, None, Number::Float(*sum), out);
    write_sample(name, "_count", labels, None, count, out);
}

fn write_sample(
    name: &str,
    suffix: &str,
    labels: &[(&str, Arc<str>)],
    bound: Option<&str>,
    value: Number,
    out: &mut String,
) {
    put(out, format_args!("{name}{suffix}"));
    let labels = labels.iter().map(|(name, value)| (*name, value.as_ref()));
    let mut before = '{';
    for (name, value) in labels.chain(bound.map(|bound| ("le", bound))) {
        put(out, format_args!("{before}{name}=\""));
        escape(value, true, out);
        out.push('"');
        before = ',';
    }
    if before == ',' {
        out.push('}');
    }
    out.push(' ');
    match value {
        Number::Integer(value) => out.push_str(itoa::Buffer::new().format(value)),
        Number::Float(value) => put(out, format_args!("{}", Float(value))),
    }
    out.push('\n');
}

/// Escapes backslashes and line feeds, and `quotes` everywhere but in the text format's help.
fn escape(text: &str, quotes: bool, out: &mut String) {
    for piece in text.split_inclusive(['\\', '\n', '"']) {
        let mut plain = piece.chars();
        match plain.next_back() {
            Some('\\') => put(out, format_args!("{}\\\\", plain.as_str())),
            Some('\n') => put(out, format_args!("{}\\n", plain.as_str())),
            Some('"') if quotes => put(out, format_args!("{}\\\"", plain.as_str())),
            _ => out.push_str(piece),
        }
    }
}

fn put(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    _ = out.write_fmt(text);
}

/// The value of a sample.
#[derive(Clone, Copy)]
enum Number {
    Float(f64),
    Integer(u64),
}

/// Formats a float with the fewest digits that parse to the same float.
struct Float(f64);

impl fmt::Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value) = *self;
        let size = value.abs();
        if value.is_infinite() {
            f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
        } else if size >= LARGE || (size < SMALL && size > 0.0) {
            write!(f, "{value:e}")
        } else {
            // Rust and Prometheus spell NaN alike.
            write!(f, "{value}")
        }
    }
}

#[cfg(test)]
mod tests;
