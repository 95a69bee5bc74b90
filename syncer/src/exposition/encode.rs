//! Writes families of series as a page, in the text format 0.0.4 or in OpenMetrics.
//!
//! It is our own because no maintained crate fits: `prometheus-client`, `prometheus` and `metrics-exporter-prometheus`
//! keep a bound as a float and print it in their own way, and dashboards select buckets by the text of their `le`; and
//! each writes only what its own registry counted, while we pass on what others did.
//!
//! Invariant: Prometheus takes every page, provided that names are valid and no series is given twice; that is the
//! families' owner's part. A family without series is left out: absent is not zero.

use std::fmt::{self, Write};
use std::sync::Arc;

use super::{Family, Format, Histogram, Kind, Value};

/// A counter's suffix. In OpenMetrics it belongs to the sample, not to the family.
const TOTAL: &str = "_total";
/// From here on a float is written with an exponent, as Go does: `1e+21`.
const LARGE: f64 = 1e21;
/// Below this too.
const SMALL: f64 = 1e-4;

/// Appends `families` to `out` as one whole page.
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
            // OpenMetrics knows no counter whose samples lack the suffix, and a name must not change with the format.
            None => (name.as_ref(), "unknown"),
        },
    };
    put(out, format_args!("# HELP {family_name} "));
    escape(help, format == Format::OpenMetrics, out);
    put(out, format_args!("\n# TYPE {family_name} {kind}\n"));
    for series in series {
        let labels = &series.labels;
        match &series.value {
            Value::Float(value) => write_sample(name, "", labels, None, Float(*value), out),
            Value::Integer(value) => write_sample(name, "", labels, None, value, out),
            Value::Histogram(histogram) => write_histogram(name, labels, histogram, out),
        }
    }
}

fn write_histogram(name: &str, labels: &[(&str, Arc<str>)], histogram: &Histogram, out: &mut String) {
    let Histogram { buckets, sum, count } = histogram;
    for (bound, below) in buckets {
        write_sample(name, "_bucket", labels, Some(bound), below, out);
    }
    write_sample(name, "_bucket", labels, Some("+Inf"), count, out);
    write_sample(name, "_sum", labels, None, Float(*sum), out);
    write_sample(name, "_count", labels, None, count, out);
}

fn write_sample(
    name: &str,
    suffix: &str,
    labels: &[(&str, Arc<str>)],
    bound: Option<&str>,
    value: impl fmt::Display,
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
    put(out, format_args!(" {value}\n"));
}

/// Backslashes and line feeds are escaped everywhere, quotes not in the text format's help.
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
    // A string takes everything.
    _ = out.write_fmt(text);
}

/// A number as it is written: the shortest digits that read back as the same float.
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
            // Rust writes NaN as Prometheus does.
            write!(f, "{value}")
        }
    }
}

#[cfg(test)]
mod tests;
