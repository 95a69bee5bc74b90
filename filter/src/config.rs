//! Plugin configuration: a JSON object whose keys are all optional.
//!
//! An error never stops the proxy: all errors are collected, an invalid key keeps its default and the valid keys apply.

use serde_json::Value;

use crate::route::{Api, Routes};

/// Model names admitted from traffic unless `maxModels` is set.
pub const DEFAULT_MAX_MODELS: usize = 200;
/// A pair of model names creates some 200 stats in Envoy, which never expire: a larger `maxModels` is invalid.
pub const MAX_MODELS_LIMIT: usize = 10_000;

/// The plugin configuration, with defaults for absent and invalid keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `models`: names that are always admitted as label values.
    pub models: Vec<String>,
    /// `maxModels`: number of further names admitted in this Envoy process.
    pub max_models: usize,
    /// `targetModelHeader`: the request header that names the serving model, in lower case.
    pub target_model_header: Option<String>,
    /// `accessLog`: whether exchanges set the filter state that Envoy's access log can print.
    pub access_log: bool,
    /// `paths`: additional path suffixes, and built-in ones that are switched off.
    pub routes: Routes,
}

/// An error in the plugin configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The parser's error.
    #[error("not valid JSON: {0}")]
    NotJson(String),
    /// The top-level value has another type.
    #[error("not a JSON object")]
    NotAnObject,
    /// Probably a typo.
    #[error("unknown key \"{0}\"")]
    UnknownKey(String),
    /// The value has the wrong type or is out of range.
    #[error("key \"{key}\": expected {expected}, got {found}")]
    InvalidValue {
        /// The path to the value, such as `models[1]`.
        key: String,
        /// The valid values.
        expected: &'static str,
        /// The value, shortened.
        found: String,
    },
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            models: Vec::new(),
            max_models: DEFAULT_MAX_MODELS,
            target_model_header: None,
            access_log: false,
            routes: Routes::default(),
        }
    }
}

impl Config {
    /// Parses the configuration. Empty input or white space means the defaults: Istio and Envoy Gateway send that for `{}`.
    pub fn parse(bytes: &[u8]) -> (Self, Vec<ConfigError>) {
        let mut config = Self::default();
        let mut errors = Vec::new();
        if bytes.trim_ascii().is_empty() {
            return (config, errors);
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(keys)) => {
                for (key, value) in &keys {
                    config.set(key, value, &mut errors);
                }
            }
            Ok(_) => errors.push(ConfigError::NotAnObject),
            Err(error) => errors.push(ConfigError::NotJson(error.to_string())),
        }
        (config, errors)
    }

    fn set(&mut self, key: &str, value: &Value, errors: &mut Vec<ConfigError>) {
        let mut invalid = |key: String, expected, found: &Value| {
            errors.push(ConfigError::InvalidValue {
                key,
                expected,
                found: describe(found),
            });
        };
        match key {
            "models" => match value {
                Value::Array(names) => {
                    for (index, name) in names.iter().enumerate() {
                        match name.as_str() {
                            Some(name) if !name.is_empty() => self.models.push(name.to_owned()),
                            _ => invalid(format!("models[{index}]"), "a non-empty string", name),
                        }
                    }
                }
                _ => invalid(key.to_owned(), "an array of strings", value),
            },
            "maxModels" => match integer(value) {
                Some(count) if count <= MAX_MODELS_LIMIT => self.max_models = count,
                _ => invalid(key.to_owned(), "an integer from 0 to 10000", value),
            },
            "targetModelHeader" => match value.as_str() {
                Some(name) if is_header_name(name) => self.target_model_header = Some(name.to_ascii_lowercase()),
                _ => invalid(key.to_owned(), "a header name", value),
            },
            "accessLog" => match value {
                Value::Bool(on) => self.access_log = *on,
                _ => invalid(key.to_owned(), "true or false", value),
            },
            "paths" => match value {
                Value::Object(paths) => {
                    for (suffix, api) in paths {
                        let known = api.as_str().and_then(Api::from_name);
                        let off = matches!(api.as_str(), Some("off"));
                        if !suffix.starts_with('/') {
                            let suffix = Value::String(suffix.clone());
                            invalid(key.to_owned(), "path suffixes that begin with \"/\"", &suffix);
                        } else if known.is_some() || off {
                            self.routes.set(suffix, known);
                        } else {
                            invalid(format!("paths.{suffix}"), "an API name or \"off\"", api);
                        }
                    }
                }
                _ => invalid(key.to_owned(), "an object of path suffixes", value),
            },
            _ => errors.push(ConfigError::UnknownKey(key.to_owned())),
        }
    }
}

/// A non-negative integer. Control planes convert numbers to doubles: 200 may arrive as 200.0 or 2e2.
fn integer(value: &Value) -> Option<usize> {
    let number = value.as_f64()?;
    (number >= 0.0 && number.fract() == 0.0 && number <= f64::from(u32::MAX)).then_some(number as usize)
}

/// A short form of a value. `serde_json`'s own formatting would add 20 KB of floating-point code to the wasm file.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.to_string(),
            (None, Some(number)) => number.to_string(),
            (None, None) => "a fractional number".to_owned(),
        },
        Value::String(text) => format!("{text:?}"),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn is_header_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn empty_configuration_means_the_defaults() {
        for text in ["", "  \n", "{}"] {
            assert_eq!(
                Config::parse(text.as_bytes()),
                (Config::default(), Vec::new()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn every_key_is_parsed() {
        let text = r#"{"models": ["a", "b"], "maxModels": 2e1, "targetModelHeader": "X-Target", "accessLog": true,
                       "paths": {"/generate": "completions", "/score": "off"}}"#;
        let (config, errors) = Config::parse(text.as_bytes());
        assert_eq!(errors, []);
        assert_eq!(config.models, ["a", "b"]);
        assert_eq!(config.max_models, 20);
        assert_eq!(config.target_model_header.as_deref(), Some("x-target"));
        assert!(config.access_log);
        assert_eq!(config.routes.api(b"POST", b"/generate"), Some(Api::Completions));
        assert_eq!(config.routes.api(b"POST", b"/score"), None);
    }

    #[test]
    fn all_errors_are_reported_and_valid_keys_apply() {
        let text = r#"{"models": ["a", 7, ""], "maxModels": -1, "targetModelHeader": "a b", "modles": [], "accessLog": 1,
                       "paths": {"generate": "chat", "/x": "chta", "/y": "chat"}}"#;
        let (config, errors) = Config::parse(text.as_bytes());
        let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            messages,
            [
                r#"key "accessLog": expected true or false, got 1"#,
                r#"key "maxModels": expected an integer from 0 to 10000, got -1"#,
                r#"key "models[1]": expected a non-empty string, got 7"#,
                r#"key "models[2]": expected a non-empty string, got """#,
                r#"unknown key "modles""#,
                r#"key "paths./x": expected an API name or "off", got "chta""#,
                r#"key "paths": expected path suffixes that begin with "/", got "generate""#,
                r#"key "targetModelHeader": expected a header name, got "a b""#,
            ]
        );
        assert_eq!(config.models, ["a"]);
        assert_eq!(config.max_models, DEFAULT_MAX_MODELS);
        assert_eq!(config.routes.api(b"POST", b"/y"), Some(Api::Chat));
    }

    #[test]
    fn input_that_is_not_an_object_is_one_error() {
        assert_eq!(Config::parse(b"[1]").1, [ConfigError::NotAnObject]);
        let (config, errors) = Config::parse(b"{\"models\": [\"a\"");
        assert_eq!(config, Config::default());
        assert!(matches!(errors.as_slice(), [ConfigError::NotJson(_)]), "{errors:?}");
    }
}
