//! Which of the filter's metrics a name on the page belongs to, and which part of it stands there.

use std::collections::HashMap;

use infertally_filter::metrics::{Kind, Unit};

use super::rows;

/// What a sample is to its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The value of a counter or a gauge.
    Value,
    /// The count up to a bound; `le` says which.
    Bucket,
    /// The exact sum, in the unit that is observed: bytes, tokens, microseconds.
    Sum,
}

/// Where a sample belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The number of its metric among [`rows::metrics`].
    pub(super) row: usize,
    /// The part of it.
    pub(super) part: Part,
}

/// The names that are read.
#[derive(Debug)]
pub(super) struct Names(HashMap<String, Place>);

// === impl Names ===

impl Names {
    /// Those of the filter's table.
    ///
    /// Two of the counters of a histogram are not read, because each is only a second reading of what another one says:
    /// `_count` of the `+Inf` bucket, and the `_sum` of seconds, which is whole, of the microseconds.
    pub(super) fn of_table() -> Self {
        let mut names = HashMap::new();
        for (row, metric) in rows::metrics().enumerate() {
            let mut read = |name, part| names.insert(name, Place { row, part });
            match metric.kind {
                Kind::Counter | Kind::Gauge => {
                    read(metric.name.to_owned(), Part::Value);
                }
                Kind::Histogram { unit, .. } => {
                    read(format!("{}_bucket", metric.name), Part::Bucket);
                    let sum = match unit {
                        Unit::Seconds => metric.microseconds_name(),
                        Unit::Bytes | Unit::Tokens => Some(format!("{}_sum", metric.name)),
                    };
                    sum.map(|name| read(name, Part::Sum));
                }
            }
        }
        Self(names)
    }

    /// Where samples of this name belong, if they are read.
    pub(super) fn find(&self, name: &str) -> Option<Place> {
        self.0.get(name).copied()
    }
}
