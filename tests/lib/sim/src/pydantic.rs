//! pydantic's conversion of scalars, which decides what a real vLLM accepts in JSON fields: `"stream": "yes"` is true,
//! `"max_tokens": "8"` is 8. Also how Python detects the encoding of JSON.

use std::borrow::Cow;

use hyper::StatusCode;
use serde_json::{Map, Value};

use crate::api_error::{ApiError, python_repr};

/// Parses a body as Python's `json.loads` does: UTF-8 with or without a byte order mark, or UTF-16.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if body.is_empty() {
        return Err(ApiError::validation("body", "missing", "Field required", "None"));
    }
    let text = text(body);
    match serde_json::from_str(&text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => Err(ApiError::validation(
            "body",
            "model_attributes_type",
            "Input should be a valid dictionary or object to extract fields from",
            &python_repr(&other),
        )),
        Err(error) => Err(bad_json(&text, &error)),
    }
}

/// A boolean; absent and null are `None`.
pub(crate) fn boolean(value: Option<&Value>, loc: &str) -> Result<Option<bool>, ApiError> {
    let value = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let read = match value {
        Value::Bool(is) => Some(*is),
        Value::Number(number) => match number.as_f64() {
            Some(1.0) => Some(true),
            Some(0.0) => Some(false),
            _ => None,
        },
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "1" | "on" | "t" | "true" | "y" | "yes" => Some(true),
            "0" | "off" | "f" | "false" | "n" | "no" => Some(false),
            _ => None,
        },
        _ => return Err(invalid(value, loc, "bool_type", "Input should be a valid boolean")),
    };
    let Some(read) = read else {
        let message = "Input should be a valid boolean, unable to interpret input";
        return Err(invalid(value, loc, "bool_parsing", message));
    };
    Ok(Some(read))
}

/// An integer; absent and null are `None`.
pub(crate) fn integer(value: Option<&Value>, loc: &str) -> Result<Option<i64>, ApiError> {
    const SHOULD: &str = "Input should be a valid integer";
    let value = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let read = match value {
        Value::Bool(is) => Some(i64::from(*is)),
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => text.trim().parse().ok(),
        _ => return Err(invalid(value, loc, "int_type", SHOULD)),
    };
    if let Some(read) = read {
        return Ok(Some(read));
    }
    let (kind, message) = match value {
        Value::String(_) => (
            "int_parsing",
            "Input should be a valid integer, unable to parse string as an integer",
        ),
        _ => (
            "int_from_float",
            "Input should be a valid integer, got a number with a fractional part",
        ),
    };
    Err(invalid(value, loc, kind, message))
}

/// A string; absent and null are `None`.
pub(crate) fn string(value: Option<&Value>, loc: &str) -> Result<Option<String>, ApiError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(invalid(other, loc, "string_type", "Input should be a valid string")),
    }
}

fn invalid(value: &Value, loc: &str, kind: &str, message: &str) -> ApiError {
    ApiError::validation(loc, kind, message, &python_repr(value))
}

#[expect(clippy::cast_possible_truncation, reason = "the number is integral and in range")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

/// Python detects the encoding by a byte order mark or by the zero bytes of the first character.
fn text(body: &[u8]) -> Cow<'_, str> {
    match body {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes).into(),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes).into(),
        [0, _, ..] => utf16(body, u16::from_be_bytes).into(),
        [_, 0, ..] => utf16(body, u16::from_le_bytes).into(),
        _ => String::from_utf8_lossy(body),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair)).collect();
    String::from_utf16_lossy(&units)
}

fn bad_json(text: &str, error: &serde_json::Error) -> ApiError {
    let offset = if error.is_eof() {
        text.len()
    } else {
        let before: usize = text
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1))
            .map(str::len)
            .sum();
        before.saturating_add(error.column().saturating_sub(1))
    };
    let parsed = text.get(..offset).unwrap_or(text).trim_end();
    let reason = if parsed.ends_with('{') {
        "Expecting property name enclosed in double quotes"
    } else {
        "Expecting value"
    };
    let message = format!(
        "1 validation error:\n  {{'type': 'json_invalid', 'loc': 'body.{offset}', 'msg': 'JSON decode error', \
         'input': '<dict of 0 items>', 'ctx': {{'error': '{reason}'}}}}"
    );
    ApiError::new(StatusCode::BAD_REQUEST, "Bad Request", message).with_param(format!("body.{offset}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn booleans_are_parsed_as_by_pydantic() {
        for yes in [
            json!(true),
            json!("true"),
            json!("YES"),
            json!("1"),
            json!("on"),
            json!(1),
            json!(1.0),
        ] {
            assert_eq!(boolean(Some(&yes), "body.stream"), Ok(Some(true)), "{yes}");
        }
        for no in [json!(false), json!("False"), json!("n"), json!("0"), json!(0)] {
            assert_eq!(boolean(Some(&no), "body.stream"), Ok(Some(false)), "{no}");
        }
        assert_eq!(boolean(None, "body.stream"), Ok(None));
        assert_eq!(boolean(Some(&Value::Null), "body.stream"), Ok(None));
        for bad in [json!("banana"), json!(2), json!([true]), json!({})] {
            assert!(boolean(Some(&bad), "body.stream").is_err(), "{bad}");
        }
    }

    #[test]
    fn integers_are_parsed_as_by_pydantic() {
        for eight in [json!(8), json!("8"), json!(8.0)] {
            assert_eq!(integer(Some(&eight), "body.n"), Ok(Some(8)), "{eight}");
        }
        for bad in [json!("many"), json!(8.5), json!([8])] {
            assert!(integer(Some(&bad), "body.n").is_err(), "{bad}");
        }
    }

    #[test]
    fn utf_16_and_byte_order_marks_are_accepted() {
        let text = r#"{"model": "tíny"}"#;
        let units: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        let marked = |mark: &[u8], rest: &[u8]| [mark, rest].concat();
        for body in [
            text.as_bytes().to_vec(),
            marked(&[0xef, 0xbb, 0xbf], text.as_bytes()),
            little.clone(),
            big.clone(),
            marked(&[0xff, 0xfe], &little),
            marked(&[0xfe, 0xff], &big),
        ] {
            assert_eq!(object(&body).unwrap()["model"], "tíny");
        }
    }

    #[test]
    fn malformed_json_is_reported_with_its_offset() {
        let error = object(br#"{"model":"tiny", "prompt": "#).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("body.27"));
        assert!(error.message.contains("Expecting value"), "{}", error.message);
        assert!(object(b"{").unwrap_err().message.contains("Expecting property name"));
        assert!(object(b"[]").is_err());
        assert!(object(b"").is_err());
    }
}
