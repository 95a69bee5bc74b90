//! What of an exchange Envoy's access log can print: each a piece of filter state, `%FILTER_STATE(wasm.NAME:PLAIN)%`.
//!
//! Names, counts and codes only; nothing of what was asked or answered.

use crate::record::{Outcome, Record};

/// Names and values. What is not known has no entry, and the log prints nothing in its place.
pub fn fields(record: &Record) -> Vec<(&'static str, String)> {
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
