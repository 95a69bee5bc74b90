//! Speeds up a rule file: divides every duration in it by the same number.

use serde_json::Value;

use crate::Result;

/// Divides the durations of `for`, ranges, subqueries and offsets in a rule file. Returns the file as JSON.
///
/// # Errors
/// If it is not a rule file, or a duration is invalid.
pub fn speed_up(mut file: Value, factor: u32) -> Result<String> {
    let groups = file
        .get_mut("groups")
        .and_then(Value::as_array_mut)
        .ok_or("the rule file has no groups")?;
    for group in groups {
        let rules = group
            .get_mut("rules")
            .and_then(Value::as_array_mut)
            .ok_or("a group has no rules")?;
        for rule in rules {
            if let Some(wait) = rule.get_mut("for") {
                *wait = divided(wait.as_str().ok_or("`for` is not a string")?, factor)?.into();
            }
            let expression = rule.get_mut("expr").ok_or("a rule has no expr")?;
            *expression = in_expression(expression.as_str().ok_or("`expr` is not a string")?, factor)?.into();
        }
    }
    Ok(file.to_string())
}

/// Every word that begins with a digit and ends with a letter is a duration: `rate(x[5m] offset 1h)`.
fn in_expression(text: &str, factor: u32) -> Result<String> {
    let ends_word = |c: char| !(c.is_alphanumeric() || c == '_' || c == '.');
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(ends_word) {
        let word = piece.trim_end_matches(ends_word);
        if word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with(char::is_alphabetic) {
            out.push_str(&divided(word, factor)?);
        } else {
            out.push_str(word);
        }
        out.push_str(piece.strip_prefix(word).unwrap_or_default());
    }
    Ok(out)
}

fn divided(duration: &str, factor: u32) -> Result<String> {
    let duration = humantime::parse_duration(duration).map_err(|error| format!("duration {duration:?}: {error}"))?;
    Ok(format!("{}ms", (duration / factor).as_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_duration_is_divided_and_nothing_else_changes() {
        for (expression, expected) in [
            ("rate(to[5m]) > 10.0", "rate(to[3000ms]) > 10.0"),
            ("x offset 15m > 10", "x offset 9000ms > 10"),
            (
                "resets(sum by (o) (x)[15m:30s]) == 0",
                "resets(sum by (o) (x)[9000ms:300ms]) == 0",
            ),
            ("a or on () b offset 1h", "a or on () b offset 36000ms"),
            ("no", "no"),
        ] {
            assert_eq!(in_expression(expression, 100).unwrap(), expected);
        }
        let file =
            json!({"groups": [{"rules": [{"alert": "A", "expr": "x[1m]", "for": "5m", "labels": {"a": "5m"}}]}]});
        let faster = speed_up(file, 60).unwrap();
        let expected = json!({"groups": [{"rules": [{"alert": "A", "expr": "x[1000ms]", "for": "5000ms", "labels": {"a": "5m"}}]}]});
        assert_eq!(serde_json::from_str::<Value>(&faster).unwrap(), expected);
    }

    #[test]
    fn an_invalid_duration_is_an_error() {
        assert!(in_expression("rate(x[5moons])", 2).is_err());
    }
}
