//! A row of a table of metrics: where one of the syncer's own is described, once.

use super::{Family, Kind, Series, SeriesLabels, Value};

/// What a metric is called and means.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The documented name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it means, for a person.
    pub help: &'static str,
}

// === impl Metric ===

impl Metric {
    /// A gauge.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        let kind = Kind::Gauge;
        Self { name, kind, help }
    }

    /// A counter; its name ends in `_total`.
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        let kind = Kind::Counter;
        Self { name, kind, help }
    }

    /// The metric with these series.
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
    /// The line of README.md that describes it.
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
