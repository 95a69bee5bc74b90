//! The plugin's configuration: a JSON object whose keys are all optional. A mistake never stops the proxy: every one
//! is collected and reported, and the rest of the configuration holds.

use serde_json::Value;

use crate::route::{Api, Routes};

/// Model names that become label values when nothing else is said, beside those that are configured.
pub const DEFAULT_MAX_MODELS: usize = 200;
/// A pair of model names costs some 200 series in Envoy, which never forgets one: more names than this are a mistake.
pub const MAX_MODELS_LIMIT: usize = 10_000;

/// What a user set, and defaults for the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `models`: names that are always admitted as label values.
    pub models: Vec<String>,
    /// `maxModels`: other names admitted in this Envoy process.
    pub max_models: usize,
    /// `targetModelHeader`: the request header that names the model which serves the request.
    pub target_model_header: Option<String>,
    /// `accessLog`: every exchange leaves its facts where Envoy's access log can print them.
    pub access_log: bool,
    /// `paths`: path endings that count, beside the built-in ones.
    pub routes: Routes,
}

/// Something wrong in the configuration, in the user's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The text is no JSON.
    #[error("configuration is not JSON: {0}")]
    NotJson(String),
    /// It is JSON, but no object.
    #[error("configuration is not a JSON object")]
    NotAnObject,
    /// A key that means nothing here.
    #[error("configuration key \"{0}\" is unknown")]
    UnknownKey(String),
    /// A value that a key can't take.
    #[error("configuration key \"{key}\" must be {expected}, not {found}")]
    WrongValue {
        /// The key, with its place inside where it has one.
        key: String,
        /// What it takes.
        expected: &'static str,
        /// The value that is there.
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
    /// Reads the configuration. No bytes at all, or white space, mean the defaults: meshes send that for `{}`.
    pub fn parse(bytes: &[u8]) -> (Self, Vec<ConfigError>) {
        let mut config = Self::default();
        let mut mistakes = Vec::new();
        if bytes.trim_ascii().is_empty() {
            return (config, mistakes);
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(keys)) => {
                for (key, value) in &keys {
                    config.set(key, value, &mut mistakes);
                }
            }
            Ok(_) => mistakes.push(ConfigError::NotAnObject),
            Err(error) => mistakes.push(ConfigError::NotJson(error.to_string())),
        }
        (config, mistakes)
    }

    fn set(&mut self, key: &str, value: &Value, mistakes: &mut Vec<ConfigError>) {
        let mut wrong = |key: String, expected, found: &Value| {
            mistakes.push(ConfigError::WrongValue {
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
                            _ => wrong(format!("models[{index}]"), "a name", name),
                        }
                    }
                }
                _ => wrong(key.to_owned(), "a list of names", value),
            },
            "maxModels" => match whole_number(value) {
                Some(count) if count <= MAX_MODELS_LIMIT => self.max_models = count,
                _ => wrong(key.to_owned(), "a whole number from 0 to 10000", value),
            },
            "targetModelHeader" => match value.as_str() {
                Some(name) if is_header_name(name) => self.target_model_header = Some(name.to_ascii_lowercase()),
                _ => wrong(key.to_owned(), "a header's name", value),
            },
            "accessLog" => match value {
                Value::Bool(on) => self.access_log = *on,
                _ => wrong(key.to_owned(), "true or false", value),
            },
            "paths" => match value {
                Value::Object(paths) => {
                    for (ending, api) in paths {
                        let known = api.as_str().and_then(Api::from_name);
                        let off = matches!(api.as_str(), Some("off"));
                        if !ending.starts_with('/') {
                            wrong(format!("paths.{ending}"), "under a key that begins with a slash", api);
                        } else if known.is_some() || off {
                            self.routes.set(ending, known);
                        } else {
                            wrong(format!("paths.{ending}"), "the name of an API, or \"off\"", api);
                        }
                    }
                }
                _ => wrong(key.to_owned(), "an object of path endings", value),
            },
            _ => mistakes.push(ConfigError::UnknownKey(key.to_owned())),
        }
    }
}

/// A count. Control planes turn every number into a double on its way: 200 may come as 200.0 or 2e2.
fn whole_number(value: &Value) -> Option<usize> {
    let number = value.as_f64()?;
    (number >= 0.0 && number.fract() == 0.0 && number <= f64::from(u32::MAX)).then_some(number as usize)
}

/// A value in a few words. (The library's own printing would bring 20 KB of code for floating point into the wasm.)
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.to_string(),
            (None, Some(number)) => number.to_string(),
            (None, None) => "a fraction".to_owned(),
        },
        Value::String(text) => format!("{text:?}"),
        Value::Array(_) => "a list".to_owned(),
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
    fn nothing_means_the_defaults() {
        for text in ["", "  \n", "{}"] {
            assert_eq!(
                Config::parse(text.as_bytes()),
                (Config::default(), Vec::new()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn every_key_is_read() {
        let text = r#"{"models": ["a", "b"], "maxModels": 2e1, "targetModelHeader": "X-Target", "accessLog": true,
                       "paths": {"/generate": "completions", "/score": "off"}}"#;
        let (config, mistakes) = Config::parse(text.as_bytes());
        assert_eq!(mistakes, []);
        assert_eq!(config.models, ["a", "b"]);
        assert_eq!(config.max_models, 20);
        assert_eq!(config.target_model_header.as_deref(), Some("x-target"));
        assert!(config.access_log);
        assert_eq!(config.routes.api(b"POST", b"/generate"), Some(Api::Completions));
        assert_eq!(config.routes.api(b"POST", b"/score"), None);
    }

    #[test]
    fn all_mistakes_are_reported_and_the_rest_holds() {
        let text = r#"{"models": ["a", 7, ""], "maxModels": -1, "targetModelHeader": "a b", "modles": [], "accessLog": 1,
                       "paths": {"generate": "chat", "/x": "chta", "/y": "chat"}}"#;
        let (config, mistakes) = Config::parse(text.as_bytes());
        let said: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                r#"configuration key "accessLog" must be true or false, not 1"#,
                r#"configuration key "maxModels" must be a whole number from 0 to 10000, not -1"#,
                r#"configuration key "models[1]" must be a name, not 7"#,
                r#"configuration key "models[2]" must be a name, not """#,
                r#"configuration key "modles" is unknown"#,
                r#"configuration key "paths./x" must be the name of an API, or "off", not "chta""#,
                r#"configuration key "paths.generate" must be under a key that begins with a slash, not "chat""#,
                r#"configuration key "targetModelHeader" must be a header's name, not "a b""#,
            ]
        );
        assert_eq!(config.models, ["a"]);
        assert_eq!(config.max_models, DEFAULT_MAX_MODELS);
        assert_eq!(config.routes.api(b"POST", b"/y"), Some(Api::Chat));
    }

    #[test]
    fn what_is_no_object_is_one_mistake() {
        assert_eq!(Config::parse(b"[1]").1, [ConfigError::NotAnObject]);
        let (config, mistakes) = Config::parse(b"{\"models\": [\"a\"");
        assert_eq!(config, Config::default());
        assert!(matches!(mistakes.as_slice(), [ConfigError::NotJson(_)]), "{mistakes:?}");
    }
}
