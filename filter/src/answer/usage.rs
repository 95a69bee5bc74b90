//! Token counts as servers write them.

use crate::json::Value;

/// More tokens than any exchange has; a number above it is a defect of the server, and would spoil a sum for good.
const MAX_TOKENS: f64 = u32::MAX as f64;

/// The tokens of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
}

// === impl Usage ===

impl Usage {
    /// Takes over what a later usage reports; what it does not report stays as it was.
    pub(super) fn update(&mut self, later: Self) {
        self.input = later.input.or(self.input);
        self.output = later.output.or(self.output);
    }
}

/// A whole number ≥ 0, written in any way that JSON has for it (`12`, `12.0`, `1.2e1`). Anything else is not reported.
pub(super) fn count(value: Value<'_>) -> Option<u64> {
    let Value::Number(digits) = value else { return None };
    let number = serde_json::from_slice::<serde_json::Value>(digits).ok()?.as_f64()?;
    (number.fract() == 0.0 && (0.0..=MAX_TOKENS).contains(&number)).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_number_counts() {
        for (digits, tokens) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("12", Some(12)),
            ("12.0", Some(12)),
            ("1.2e1", Some(12)),
            ("120E-1", Some(12)),
            ("4294967295", Some(4_294_967_295)),
            ("4294967296", None),
            ("99999999999999999999", None),
            ("1e300", None),
            ("1e999", None),
            ("12.5", None),
            ("-1", None),
            ("1-2", None),
            ("01", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(count(Value::Number(digits.as_bytes())), tokens, "{digits}");
        }
        for value in [
            Value::Null,
            Value::Str(b"12"),
            Value::Bool(true),
            Value::Object,
            Value::Array,
            Value::End,
        ] {
            assert_eq!(count(value), None, "{value:?}");
        }
    }
}
