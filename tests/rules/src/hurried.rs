//! A rule file whose time runs faster: every duration in it, divided by the same number.

use serde_json::Value;

use crate::Result;

/// A rule file, as JSON, with its durations divided: those of `for`, of ranges and subqueries, and of offsets.
///
/// # Errors
/// If it is no rule file, or one of them is no duration.
pub fn hurried(mut file: Value, by: u32) -> Result<String> {
    let groups = file
        .get_mut("groups")
        .and_then(Value::as_array_mut)
        .ok_or("no groups")?;
    for group in groups {
        let rules = group.get_mut("rules").and_then(Value::as_array_mut).ok_or("no rules")?;
        for rule in rules {
            if let Some(wait) = rule.get_mut("for") {
                *wait = divided(wait.as_str().ok_or("a `for` that is no text")?, by)?.into();
            }
            let expression = rule.get_mut("expr").ok_or("no expr")?;
            *expression = in_expression(expression.as_str().ok_or("an `expr` that is no text")?, by)?.into();
        }
    }
    Ok(file.to_string())
}

/// `rate(x[5m] offset 1h)`: what stands in brackets, a colon between the parts, and the word after `offset`.
fn in_expression(text: &str, by: u32) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(['[', 'o']) {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let (opening, close): (_, fn(char) -> bool) = if from.starts_with("offset ") {
            ("offset ", |c| !c.is_ascii_alphanumeric())
        } else if from.starts_with('[') {
            ("[", |c| c == ']')
        } else {
            ("o", |_| true)
        };
        let (opening, after) = from.split_at(opening.len());
        out.push_str(opening);
        let (durations, after) = after.split_at(after.find(close).unwrap_or(after.len()));
        for (index, duration) in durations
            .split(':')
            .enumerate()
            .filter(|(_, duration)| !duration.is_empty())
        {
            out.push_str(if index > 0 { ":" } else { "" });
            out.push_str(&divided(duration, by)?);
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn divided(duration: &str, by: u32) -> Result<String> {
    let whole = humantime::parse_duration(duration).map_err(|error| format!("{duration:?}: {error}"))?;
    Ok(format!("{}ms", (whole / by).as_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_duration_is_divided_and_nothing_else_changes() {
        for (expression, hurried) in [
            ("rate(to[5m]) > 10.0", "rate(to[3000ms]) > 10.0"),
            ("x offset 15m > 10", "x offset 9000ms > 10"),
            (
                "resets(sum by (o) (x)[15m:30s]) == 0",
                "resets(sum by (o) (x)[9000ms:300ms]) == 0",
            ),
            ("a or on () b offset 1h", "a or on () b offset 36000ms"),
            ("no", "no"),
        ] {
            assert_eq!(in_expression(expression, 100).unwrap(), hurried);
        }
        let file =
            json!({"groups": [{"rules": [{"alert": "A", "expr": "x[1m]", "for": "5m", "labels": {"a": "5m"}}]}]});
        let hurried = hurried(file, 60).unwrap();
        let wanted = json!({"groups": [{"rules": [{"alert": "A", "expr": "x[1000ms]", "for": "5000ms", "labels": {"a": "5m"}}]}]});
        assert_eq!(serde_json::from_str::<Value>(&hurried).unwrap(), wanted);
    }

    #[test]
    fn what_is_no_duration_is_an_error() {
        assert!(in_expression("rate(x[5 moons])", 2).is_err());
    }
}
