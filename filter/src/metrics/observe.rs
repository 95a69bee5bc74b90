//! What a [`Record`] adds to each metric. A value that was not reported is not observed.

use super::MetricId;
use super::value::{LabelValue, Message};
use crate::exchange::Outcome;
use crate::record::Record;
use crate::response::Usage;

/// One addition to a metric. The model labels, if the metric has them, are those of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Observation {
    pub(crate) metric: MetricId,
    /// The increment of a counter, or the value observed by a histogram, in its unit.
    pub(crate) value: u64,
    /// The label beside the model labels, if the metric has one.
    pub(crate) label: Option<LabelValue>,
}

/// Passes everything that a record adds to the metrics to `add`.
pub(crate) fn observe(record: &Record, mut add: impl FnMut(Observation)) {
    let Record {
        labels: _,
        pair: _,
        outcome,
        duration_us,
        request_bytes,
        response_bytes,
        usage,
        usage_source,
        finish_reasons,
        is_stream: _,
        invalid_request,
        invalid_response,
        label_overflow,
    } = record;
    let Usage {
        input,
        output,
        cached_input,
        reasoning_output,
        audio_seconds,
    } = *usage;
    let mut labelled = |metric, value, label| {
        add(Observation {
            metric,
            value,
            label: Some(label),
        })
    };
    if let Outcome::Failed(code) = outcome {
        labelled(MetricId::RequestErrorTotal, 1, LabelValue::ErrorCode(*code));
    }
    for (reason, count) in finish_reasons.iter() {
        labelled(
            MetricId::FinishReason,
            u64::from(count),
            LabelValue::FinishReason(reason),
        );
    }
    if let Some(source) = usage_source {
        labelled(MetricId::Usage, 1, LabelValue::UsageSource(*source));
    }
    for (invalid, message) in [
        (*invalid_request, Message::Request),
        (*invalid_response, Message::Response),
    ] {
        if invalid {
            labelled(MetricId::FilterParseFailures, 1, LabelValue::Message(message));
        }
    }

    let mut observe = |metric, value: Option<u64>| {
        if let Some(value) = value {
            add(Observation {
                metric,
                value,
                label: None,
            });
        }
    };
    let ntpot = match (outcome, output) {
        (Outcome::Success, Some(tokens @ 1..)) => Some(rounded_ratio(*duration_us, tokens)),
        (Outcome::Success | Outcome::Failed(_) | Outcome::Cancelled, _) => None,
    };
    observe(MetricId::RequestTotal, Some(1));
    observe(MetricId::RequestDuration, Some(*duration_us));
    observe(MetricId::NormalizedTimePerOutputToken, ntpot);
    observe(MetricId::RequestSizes, Some(*request_bytes));
    observe(MetricId::ResponseSizes, Some(*response_bytes));
    observe(MetricId::InputTokens, input);
    observe(MetricId::OutputTokens, output);
    observe(MetricId::CachedInputTokens, cached_input);
    observe(MetricId::ReasoningOutputTokens, reasoning_output);
    observe(MetricId::AudioSeconds, audio_seconds.filter(|seconds| *seconds > 0));
    observe(MetricId::ClientCancelled, (*outcome == Outcome::Cancelled).then_some(1));
    observe(MetricId::FilterLabelOverflow, label_overflow.then_some(1));
}

/// The counters that are exported as 0 from the start, so that `increase` sees the first failure.
pub(crate) fn zeros() -> impl Iterator<Item = Observation> {
    let failures = [Message::Request, Message::Response]
        .map(|message| (MetricId::FilterParseFailures, Some(LabelValue::Message(message))));
    let counters = failures.into_iter().chain([(MetricId::FilterLabelOverflow, None)]);
    counters.map(|(metric, label)| Observation {
        metric,
        value: 0,
        label,
    })
}

/// Rounds half up.
pub(super) fn rounded_ratio(dividend: u64, divisor: u64) -> u64 {
    dividend.saturating_add(divisor / 2) / divisor.max(1)
}
