//! The fields of a [`Record`] that Envoy's access log can print, each as `%FILTER_STATE(wasm.NAME:PLAIN)%`.
//!
//! Only names, counts and codes; never text of a prompt or a completion.

use crate::exchange::Outcome;
use crate::record::Record;

/// Names and values. An unknown value has no entry; the access log prints its placeholder for it.
pub(crate) fn fields(record: &Record) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("infertally_model_name", record.labels.model.as_str().to_owned()),
        ("infertally_target_model_name", record.labels.target.as_str().to_owned()),
        ("infertally_stream", record.is_stream.to_string()),
    ];
    let tokens = [
        ("infertally_input_tokens", record.usage.input),
        ("infertally_output_tokens", record.usage.output),
    ];
    fields.extend(
        tokens
            .into_iter()
            .filter_map(|(name, tokens)| Some((name, tokens?.to_string()))),
    );
    if let Outcome::Failed(code) = record.outcome {
        fields.push(("infertally_error_code", code.as_str().to_owned()));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::{ErrorCode, ModelLabel};
    use crate::names::PairId;
    use crate::record::ModelPair;
    use crate::response::{FinishReasons, Usage};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn unknown_values_have_no_field() {
        let record = Record {
            labels: ModelPair {
                model: ModelLabel::new(b"m"),
                target: ModelLabel::new(b"t"),
            },
            pair: PairId::default(),
            outcome: Outcome::Failed(ErrorCode::Truncated),
            duration_us: 1,
            request_bytes: 2,
            response_bytes: 3,
            usage: Usage {
                input: Some(5),
                ..Usage::default()
            },
            usage_source: None,
            finish_reasons: FinishReasons::default(),
            is_stream: true,
            invalid_request: false,
            invalid_response: false,
            label_overflow: false,
        };
        let fields = fields(&record);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(
            fields,
            [
                ("infertally_model_name", "m"),
                ("infertally_target_model_name", "t"),
                ("infertally_stream", "true"),
                ("infertally_input_tokens", "5"),
                ("infertally_error_code", "Truncated"),
            ]
        );
    }
}
