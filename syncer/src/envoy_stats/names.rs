//! [`Names`], which maps the names on the page to the filter's metrics and their components.

use std::collections::HashMap;

use infertally_filter::metrics::{Kind, Unit};

use super::families;

/// What a sample is of its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The value of a counter or a gauge.
    Value,
    /// A histogram's bucket; the label `le` has the bound.
    Bucket,
    /// A histogram's exact sum, in the unit that the filter observes: bytes, tokens, microseconds.
    Sum,
}

/// The metric of a sample, and the part of it that the sample holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Component {
    /// The metric's index among [`families::metrics`].
    pub(super) metric: usize,
    pub(super) part: Part,
}

/// The names that are read.
#[derive(Debug)]
pub(super) struct Names(HashMap<String, Component>);

// === impl Names ===

impl Names {
    /// The names of the filter's table.
    ///
    /// Two counters of a histogram are not read because another one has the same information: `_count` repeats the `+Inf`
    /// bucket, and the `_sum` of seconds is the integer part of the counter of microseconds.
    pub(super) fn of_table() -> Self {
        let mut names = HashMap::new();
        for (index, metric) in families::metrics().enumerate() {
            let mut insert = |name, part| names.insert(name, Component { metric: index, part });
            match metric.kind {
                Kind::Counter | Kind::Gauge => {
                    insert(metric.name.to_owned(), Part::Value);
                }
                Kind::Histogram { unit, .. } => {
                    insert(format!("{}_bucket", metric.name), Part::Bucket);
                    let sum = match unit {
                        Unit::Seconds => metric.microseconds_name(),
                        Unit::Bytes | Unit::Tokens => Some(format!("{}_sum", metric.name)),
                    };
                    sum.map(|name| insert(name, Part::Sum));
                }
            }
        }
        Self(names)
    }

    /// The component that samples of this name hold; `None` if they are not read.
    pub(super) fn find(&self, name: &str) -> Option<Component> {
        self.0.get(name).copied()
    }
}
