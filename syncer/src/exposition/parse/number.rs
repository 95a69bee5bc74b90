//! Numbers as Go's `strconv` parses them, which is what Prometheus accepts. Rust's parser differs at the edges.

/// Parses a sample's value. `None` if it is not a number, also for a NaN with a sign or a number too large for a float.
pub(super) fn float(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    let spelled = text.trim_start_matches(['+', '-']);
    if value.is_nan() {
        return (spelled == text).then_some(value);
    }
    // Rust parses `1e999` as infinite; Go rejects it.
    (value.is_finite() || spelled.starts_with(['i', 'I'])).then_some(value)
}

/// A timestamp of the text format: milliseconds without a sign, within a signed 64-bit integer.
pub(super) fn is_milliseconds(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<i64>().is_ok()
}

/// A timestamp of OpenMetrics: seconds, as a finite float.
pub(super) fn is_seconds(text: &str) -> bool {
    float(text).is_some_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_parses_is_a_number() {
        for (text, value) in [
            ("0", 0.0),
            ("-0", 0.0),
            ("+1", 1.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("1.7954910671911452e+09", 1_795_491_067.191_145_2),
            ("1E3", 1000.0),
            ("1e-400", 0.0),
            ("Inf", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("-INFINITY", f64::NEG_INFINITY),
            ("18446744073709551616", 18_446_744_073_709_551_616.0),
        ] {
            assert_eq!(float(text), Some(value), "{text}");
        }
        for text in ["NaN", "nan", "NAN"] {
            assert!(float(text).is_some_and(f64::is_nan), "{text}");
        }
    }

    #[test]
    fn what_go_rejects_is_not_a_number() {
        for text in [
            "", "-", ".", "e5", "1e", "true", "0x10", "0x1p-3", "1_000", "1e999", "-1e999", "+NaN", "-nan", "--1",
            "+-1", "1 ", "1,5", "١", "inf1", "in",
        ] {
            assert_eq!(float(text), None, "{text:?}");
        }
    }

    #[test]
    fn timestamps_have_the_form_of_their_format() {
        assert!(is_milliseconds("1795491067191") && is_milliseconds("0"));
        for text in ["", "-1", "+1", "1.5", "9223372036854775808", "1e3"] {
            assert!(!is_milliseconds(text), "{text:?}");
        }
        assert!(is_seconds("1795491067.191") && is_seconds("-1.5") && is_seconds("1e3"));
        for text in ["", "NaN", "+Inf", "1e999", "now"] {
            assert!(!is_seconds(text), "{text:?}");
        }
    }
}
