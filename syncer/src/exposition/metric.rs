//! [`Metric`], the declaration of one of the syncer's own metrics: a row of a table of constants.

use super::family::{Family, Kind, Series, SeriesLabels, Value};

/// Name, type and help of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The metric name.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
    /// The text of `# HELP`.
    pub help: &'static str,
}

// === impl Metric ===

impl Metric {
    /// Declares a gauge.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        let kind = Kind::Gauge;
        Self { name, kind, help }
    }

    /// Declares a counter, whose name ends in `_total`.
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        let kind = Kind::Counter;
        Self { name, kind, help }
    }

    /// The metric's family with these series.
    pub fn family(self, series: impl IntoIterator<Item = (SeriesLabels, Value)>) -> Family {
        let Self { name, kind, help } = self;
        let series = series.into_iter().map(|(labels, value)| Series { labels, value });
        Family {
            name: name.into(),
            help: help.into(),
            kind,
            series: series.collect(),
        }
    }
}

#[cfg(test)]
impl Family {
    /// The row of README.md that documents the metric.
    pub fn readme_row(&self) -> String {
        let Self {
            name,
            help,
            kind,
            series,
        } = self;
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<_> = series[0].labels.iter().map(|(name, _)| *name).collect();
        format!("| `{name}` | {kind} | {} | {help} |", labels.join(", "))
    }
}
