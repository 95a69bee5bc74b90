//! [`config::parse`], the parser of the LoRA role's configuration file. Input: a body.

use std::collections::HashSet;

use infertally_syncer::lora::config::{
    self, Config, ConfigError, MAX_ADAPTERS, MAX_BYTES, MAX_SERVERS, Parsed, Position,
};
use serde_json::{Value, json};

use crate::body::Body;
use crate::choices::Choices;

/// Seeds of the corpus, by name.
pub const FILES: [(&str, &str); 7] = [
    (
        "complete",
        "vLLMLoRAConfig:\n  host: localhost\n  port: 8000\n  name: a name\n  defaultBaseModel: tiny\n  ensureExist:\n    \
         models:\n    - id: a\n      source: /adapters/a\n    - id: b\n      source: some/b\n      base-model: other\n  \
         ensureNotExist:\n    models:\n    - id: c\n    - id: d\n      source: /adapters/d\n",
    ),
    (
        "ports",
        "vLLMLoRAConfig:\n  host: https://pod\n  port: 8000\n  ports: [8001, 8002, 8001]\n  ensureExist:\n    models:\n    - \
         {id: a, source: /a}\n",
    ),
    (
        "conflict",
        "# comment\nvLLMLoRAConfig:\n  host: 'https://model.example'\n  ensureExist: {models: [{id: \"a\", source: /a}, {id: \
         a, source: /a}]}\n  ensureNotExist: {models: [{id: a}]}\n",
    ),
    (
        "json",
        r#"{"vLLMLoRAConfig": {"host": "::1", "port": 1, "ensureExist": {"models": [{"id": "a", "source": "/a"}]}}}"#,
    ),
    (
        "anchors",
        "vLLMLoRAConfig: &top\n  ensureExist: &list\n    models: [&a {id: a, source: !!str 7}, *a]\n  ensureNotExist: *list\n",
    ),
    (
        "errors",
        "vLLMLoRAConfig:\n  port: 70000\n  hots: x\n  host: \"a b\"\n  ensureExist:\n    models:\n    - id: 7\n    - source: \
         |\n        text\n    - <<: {id: a}\n    - \"a\\nb\"\n  port: ~\n",
    ),
    (
        "truncated",
        "vLLMLoRAConfig:\r\n  ensureExist:\r\n    models:\r\n    - id: 'naïve 日本\r\n",
    ),
];
/// Errors and warnings of one file, with the one that says that there are more.
const MAX_ERRORS: usize = 101;
/// Bytes of an error as it is logged.
const MAX_LINE: usize = 2048;

/// Panics if a property does not hold.
pub fn check(input: &[u8]) {
    let file = Body::read(Choices(input)).bytes;
    match config::parse(&file) {
        Ok(Parsed { config, warnings }) => {
            assert!(warnings.iter().all(|warning| warning.kind.is_warning()), "{warnings:?}");
            check_errors(&file, &warnings);
            check_config(&config);
            for text in [json(&config).to_string(), yaml(&config)] {
                check_again(&config, &text);
            }
        }
        Err(errors) => {
            assert!(errors.iter().any(|error| !error.kind.is_warning()), "{errors:?}");
            check_errors(&file, &errors);
        }
    }
}

/// Their number is limited, and they are sorted by positions that exist.
fn check_errors(file: &[u8], errors: &[ConfigError]) {
    assert!(errors.len() <= MAX_ERRORS, "{} errors", errors.len());
    assert!(errors.is_sorted_by_key(|error| error.position), "{errors:?}");
    for error in errors {
        let text = error.to_string();
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(text.len() <= MAX_LINE, "{} bytes: {text}", text.len());
        assert!(
            is_within(file, error.position),
            "{error} in {:?}",
            String::from_utf8_lossy(file)
        );
    }
}

/// Whether the position is that of a character, or the end of a line. To YAML a lone CR ends a line; to the check for UTF-8
/// it does not.
fn is_within(file: &[u8], position: Position) -> bool {
    let Position { line, column } = position;
    let text = String::from_utf8_lossy(file).replace("\r\n", "\n");
    let is_in = |ends: &[char]| {
        let found = line.checked_sub(1).and_then(|before| text.split(ends).nth(before));
        found.is_some_and(|text| (1..=text.chars().count() + 1).contains(&column))
    };
    is_in(&['\n', '\r']) || is_in(&['\n'])
}

/// Each server has a URL of its own, no id is listed twice, and every string is usable.
fn check_config(config: &Config) {
    let Config {
        servers,
        name,
        desired,
        excluded,
        conflicts,
    } = config;
    assert!((1..=MAX_SERVERS).contains(&servers.len()), "{servers:?}");
    assert_eq!(
        servers.iter().collect::<HashSet<_>>().len(),
        servers.len(),
        "{servers:?}"
    );
    for server in servers {
        assert!(matches!(server.scheme_str(), Some("http" | "https")), "{server}");
        assert!(
            server.host().is_some_and(|host| !host.is_empty()) && server.port_u16() > Some(0),
            "{server}"
        );
    }
    let ids = desired.iter().map(|spec| &spec.id).chain(excluded).chain(conflicts);
    let ids: Vec<_> = ids.collect();
    assert!(desired.len() + conflicts.len() <= MAX_ADAPTERS && excluded.len() + conflicts.len() <= MAX_ADAPTERS);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{ids:?}");
    let others = desired
        .iter()
        .flat_map(|spec| spec.base_model.iter().chain([&spec.source]));
    for text in ids.into_iter().chain(others).chain(name) {
        assert!(!text.is_empty() && !text.chars().any(char::is_control), "{text:?}");
    }
}

/// A file written from the configuration is parsed to the same configuration.
fn check_again(config: &Config, text: &str) {
    // `defaultBaseModel` is repeated for each adapter.
    if text.len() > MAX_BYTES {
        return;
    }
    let again = config::parse(text.as_bytes()).map(|parsed| parsed.config);
    assert_eq!(again.as_ref(), Ok(config), "{text}");
}

/// The configuration as JSON, a subset of YAML.
fn json(config: &Config) -> Value {
    let Config {
        servers,
        name,
        desired,
        excluded,
        conflicts,
    } = config;
    let desired = desired
        .iter()
        .map(|spec| json!({"id": &*spec.id, "source": &*spec.source, "base-model": spec.base_model.as_deref()}));
    let both = || conflicts.iter().map(|id| json!({"id": &**id, "source": "/"}));
    let excluded = excluded.iter().map(|id| json!({"id": &**id}));
    let scheme = servers.first().and_then(|server| server.scheme_str());
    let host = servers.first().and_then(|server| server.host());
    let host = format!("{}://{}", scheme.unwrap_or_default(), host.unwrap_or_default());
    let ports: Vec<_> = servers.iter().filter_map(|server| server.port_u16()).collect();
    json!({"vLLMLoRAConfig": {
        "host": host,
        "ports": ports,
        "name": name.as_deref(),
        "ensureExist": {"models": desired.chain(both()).collect::<Vec<_>>()},
        "ensureNotExist": {"models": excluded.chain(both()).collect::<Vec<_>>()},
    }})
}

/// The same in block style with single-quoted strings.
fn yaml(config: &Config) -> String {
    let mut text = String::new();
    block(&json(config), 0, &mut text);
    text
}

fn block(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                text.push_str(&format!("\n{indent}{key}:"));
                block(value, depth + 1, text);
            }
        }
        Value::Array(items) => {
            if items.is_empty() {
                text.push_str(" []");
            }
            for item in items {
                text.push_str(&format!("\n{indent}-"));
                block(item, depth + 1, text);
            }
        }
        Value::String(string) => text.push_str(&format!(" '{}'", string.replace('\'', "''"))),
        // The same as no key.
        Value::Null => {}
        other => text.push_str(&format!(" {other}")),
    }
}
