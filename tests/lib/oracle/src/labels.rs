//! The label values of models: how a name is written, and which names are admitted.

use std::collections::BTreeSet;

/// Bytes kept of a name.
const MAX_NAME: usize = 256;
/// Names that traffic can add, unless configured otherwise.
const MAX_MODELS: usize = 200;
/// Stands for every name that is not admitted.
const OTHER: &str = "other";
/// Stands for a model that nobody named.
pub(crate) const UNKNOWN: &str = "unknown";

/// The label values of an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelPair {
    /// `model_name`.
    pub model: String,
    /// `target_model_name`.
    pub target: String,
}

/// The names that are label values, in one Envoy.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    configured: BTreeSet<String>,
    admitted: BTreeSet<String>,
}

// === impl ModelPair ===

impl ModelPair {
    /// As labels.
    pub fn labels(&self) -> [(&str, &str); 2] {
        [("model_name", &self.model), ("target_model_name", &self.target)]
    }

    /// Whether a name of it is not admitted.
    pub fn has_other(&self) -> bool {
        [&self.model, &self.target].iter().any(|name| *name == OTHER)
    }
}

// === impl Admission ===

impl Admission {
    pub(crate) fn new<'a>(configured: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            configured: configured
                .into_iter()
                .map(|name| label_value(name.as_bytes()))
                .collect(),
            admitted: BTreeSet::new(),
        }
    }

    /// The label values of an exchange. A 2xx response admits both names, while there is room.
    pub(crate) fn pair(&mut self, requested: Option<&str>, response: Option<&str>, is_success: bool) -> ModelPair {
        let mut label = |name: &str| {
            let value = label_value(name.as_bytes());
            if self.configured.contains(&value) {
                return value;
            }
            if is_success && self.admitted.len() < MAX_MODELS {
                self.admitted.insert(value.clone());
            }
            Some(value)
                .filter(|value| self.admitted.contains(value))
                .unwrap_or_else(|| OTHER.to_owned())
        };
        let model = requested.or(response).map_or_else(|| UNKNOWN.to_owned(), &mut label);
        let target = response.map_or_else(|| model.clone(), label);
        ModelPair { model, target }
    }
}

/// A name as it is written in a label: what could end the value in a stat's name is `%` and two hexadecimal digits, and so
/// is the first character of a client's own `other` and `unknown`.
pub fn label_value(name: &[u8]) -> String {
    let mut value = String::new();
    for chunk in kept(name).utf8_chunks() {
        for character in chunk.valid().chars() {
            if "%;=\"\\".contains(character) || character.is_ascii_control() {
                value += &format!("%{:02X}", character as u32);
            } else {
                value.push(character);
            }
        }
        value.extend(chunk.invalid().iter().map(|byte| format!("%{byte:02X}")));
    }
    if let Some(rest) = value.strip_suffix('.') {
        value = format!("{rest}%2E");
    }
    match value.as_str() {
        OTHER => "%6Fther".to_owned(),
        UNKNOWN => "%75nknown".to_owned(),
        _ => value,
    }
}

/// The first bytes of a name; a character that does not fit is dropped.
fn kept(name: &[u8]) -> &[u8] {
    let is_inside = |at: usize| name.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let cut = (MAX_NAME - 3..=MAX_NAME).rev().find(|at| !is_inside(*at));
    name.get(..cut.unwrap_or(MAX_NAME)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_admitted_by_a_2xx_response_until_there_is_no_room() {
        let mut admission = Admission::new(["kept"]);
        let mut model = |name: &str, is_success| admission.pair(Some(name), None, is_success).model;
        assert_eq!(model("a", false), "other");
        assert_eq!(model("kept", false), "kept");
        assert_eq!(model("a", true), "a");
        assert_eq!(model("a", false), "a");
        for number in 1..MAX_MODELS {
            assert_eq!(model(&number.to_string(), true), number.to_string());
        }
        assert_eq!(model("one-too-many", true), "other");
        assert_eq!(model("kept", true), "kept");
    }

    #[test]
    fn a_request_without_a_model_takes_the_responses() {
        let mut admission = Admission::new([]);
        let mut pair = |requested, response| {
            let ModelPair { model, target } = admission.pair(requested, response, true);
            [model, target]
        };
        assert_eq!(pair(None, Some("tiny")), ["tiny", "tiny"]);
        assert_eq!(pair(Some("lora"), Some("tiny")), ["lora", "tiny"]);
        assert_eq!(pair(Some("lora"), None), ["lora", "lora"]);
        assert_eq!(pair(None, None), ["unknown", "unknown"]);
        assert_eq!(pair(Some("unknown"), None), ["%75nknown", "%75nknown"]);
    }
}
