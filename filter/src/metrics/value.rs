//! The values of the labels beside the model labels. All sets are closed, so a value is a position in an array of series.

use super::{METRICS, MetricId};
use crate::labels::{ErrorCode, Label, UsageSource};
use crate::response::FinishReason;

/// A label and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LabelValue {
    ErrorCode(ErrorCode),
    FinishReason(FinishReason),
    UsageSource(UsageSource),
    Message(Message),
}

/// The kind of message that failed to parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Request,
    Response,
}

/// The number of series that a set of model labels can have.
#[allow(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: an index out of bounds is its error"
)]
pub(crate) const SERIES: usize = FIRST_SERIES[METRICS.len()];

/// The position of each metric's first series; the last entry is the number of all.
#[allow(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: an index out of bounds is its error"
)]
static FIRST_SERIES: [usize; METRICS.len() + 1] = {
    let mut first = [0; METRICS.len() + 1];
    let mut metric = 0;
    while metric < METRICS.len() {
        first[metric + 1] = first[metric] + series_of(METRICS[metric].labels);
        metric += 1;
    }
    first
};

// === impl LabelValue ===

impl LabelValue {
    pub(crate) fn label(self) -> Label {
        match self {
            Self::ErrorCode(_) => Label::ErrorCode,
            Self::FinishReason(_) => Label::FinishReason,
            Self::UsageSource(_) | Self::Message(_) => Label::Source,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ErrorCode(code) => code.as_str(),
            Self::FinishReason(reason) => reason.as_str(),
            Self::UsageSource(source) => source.as_str(),
            Self::Message(Message::Request) => "request",
            Self::Message(Message::Response) => "response",
        }
    }

    fn index(self) -> usize {
        match self {
            Self::ErrorCode(code) => code as usize,
            Self::FinishReason(reason) => reason as usize,
            Self::UsageSource(source) => source as usize,
            Self::Message(message) => message as usize,
        }
    }
}

/// The position of a series among the [`SERIES`] with the same model labels.
pub(crate) fn position(metric: MetricId, label: Option<LabelValue>) -> usize {
    let first = FIRST_SERIES.get(metric as usize).copied().unwrap_or(SERIES);
    first + label.map_or(0, LabelValue::index)
}

/// The number of series of a metric with these labels, for one set of model labels.
#[allow(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: an index out of bounds is its error"
)]
const fn series_of(labels: &[Label]) -> usize {
    let mut series = 1;
    let mut index = 0;
    while index < labels.len() {
        series *= match labels[index] {
            Label::ErrorCode => ErrorCode::COUNT,
            Label::FinishReason => FinishReason::ALL.len(),
            // It has more values than `Message`.
            Label::Source => UsageSource::COUNT,
            Label::ModelName
            | Label::TargetModelName
            | Label::Le
            | Label::Version
            | Label::Commit
            | Label::BuildRef => 1,
        };
        index += 1;
    }
    series
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_series_has_a_position_of_its_own() {
        let codes = (0..=u16::MAX).filter_map(ErrorCode::from_status);
        let other_codes = [ErrorCode::UpstreamReset, ErrorCode::StreamError, ErrorCode::Truncated];
        let sources = [
            UsageSource::Reported,
            UsageSource::ReportedDuration,
            UsageSource::Counted,
            UsageSource::MissingNotRequested,
            UsageSource::MissingEncoded,
            UsageSource::MissingAborted,
            UsageSource::MissingTruncated,
            UsageSource::MissingUnparsed,
        ];
        let mut series = BTreeSet::new();
        let mut add = |metric, label: Option<LabelValue>| {
            let name = label.map_or("", LabelValue::as_str);
            let position = position(metric, label);
            assert!(position < SERIES, "{metric:?} {name}");
            series.insert((metric as usize, name, position));
        };
        for code in codes.chain(other_codes) {
            add(MetricId::RequestErrorTotal, Some(LabelValue::ErrorCode(code)));
        }
        for reason in FinishReason::ALL {
            add(MetricId::FinishReason, Some(LabelValue::FinishReason(reason)));
        }
        for source in sources {
            add(MetricId::Usage, Some(LabelValue::UsageSource(source)));
        }
        for message in [Message::Request, Message::Response] {
            add(MetricId::FilterParseFailures, Some(LabelValue::Message(message)));
        }
        for metric in [
            MetricId::RequestTotal,
            MetricId::ClientCancelled,
            MetricId::FilterLabelOverflow,
        ] {
            add(metric, None);
        }
        let positions: BTreeSet<_> = series.iter().map(|(.., position)| position).collect();
        assert_eq!((series.len(), positions.len()), (11 + 7 + 8 + 2 + 3, series.len()));
    }
}
