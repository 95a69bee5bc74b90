//! The reader of the LoRA role's file. Input: a body.

use std::collections::HashSet;

use infertally_syncer::lora::config::{self, Config, ConfigError, MAX_ADAPTERS, MAX_BYTES, Parsed, Position};
use serde_json::{Value, json};

use crate::body::Body;
use crate::choices::Choices;

/// Files to begin with.
pub const FILES: [(&str, &str); 6] = [
    (
        "whole",
        "vLLMLoRAConfig:\n  host: localhost\n  port: 8000\n  name: a name\n  defaultBaseModel: tiny\n  ensureExist:\n    \
         models:\n    - id: a\n      source: /adapters/a\n    - id: b\n      source: some/b\n      base-model: other\n  \
         ensureNotExist:\n    models:\n    - id: c\n    - id: d\n      source: /adapters/d\n",
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
        "mistakes",
        "vLLMLoRAConfig:\n  port: 70000\n  hots: x\n  host: \"a b\"\n  ensureExist:\n    models:\n    - id: 7\n    - source: \
         |\n        text\n    - <<: {id: a}\n    - \"a\\nb\"\n  port: ~\n",
    ),
    (
        "half",
        "vLLMLoRAConfig:\r\n  ensureExist:\r\n    models:\r\n    - id: 'naïve 日本\r\n",
    ),
];
/// Mistakes told of one file, and the word that there are more.
const MAX_MISTAKES: usize = 101;
/// Bytes of a mistake as it is logged.
const MAX_LINE: usize = 2048;

/// Panics if the reader breaks its word.
pub fn check(input: &[u8]) {
    let file = Body::read(Choices(input)).bytes;
    match config::parse(&file) {
        Ok(Parsed { config, warnings }) => {
            assert!(warnings.iter().all(|warning| warning.what.is_warning()), "{warnings:?}");
            check_mistakes(&file, &warnings);
            check_config(&config);
            for text in [json(&config).to_string(), yaml(&config)] {
                check_again(&config, &text);
            }
        }
        Err(mistakes) => {
            assert!(
                mistakes.iter().any(|mistake| !mistake.what.is_warning()),
                "{mistakes:?}"
            );
            check_mistakes(&file, &mistakes);
        }
    }
}

/// They are few, in the file's order, each within it.
fn check_mistakes(file: &[u8], mistakes: &[ConfigError]) {
    assert!(mistakes.len() <= MAX_MISTAKES, "{} mistakes", mistakes.len());
    assert!(mistakes.is_sorted_by_key(|mistake| mistake.place), "{mistakes:?}");
    for mistake in mistakes {
        let text = mistake.to_string();
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(text.len() <= MAX_LINE, "{} bytes: {text}", text.len());
        assert!(
            is_within(file, mistake.place),
            "{mistake} of {:?}",
            String::from_utf8_lossy(file)
        );
    }
}

/// At a character of a line, or right behind its last one. YAML ends lines at a lone CR, too; who looks for what is not
/// UTF-8 does not.
fn is_within(file: &[u8], place: Position) -> bool {
    let Position { line, column } = place;
    let text = String::from_utf8_lossy(file).replace("\r\n", "\n");
    let is_in = |ends: &[char]| {
        let found = line.checked_sub(1).and_then(|before| text.split(ends).nth(before));
        found.is_some_and(|text| (1..=text.chars().count() + 1).contains(&column))
    };
    is_in(&['\n', '\r']) || is_in(&['\n'])
}

/// It can be acted upon: no adapter twice, and no name that could not be one.
fn check_config(config: &Config) {
    let Config {
        server,
        name,
        wanted,
        unwanted,
        conflicts,
    } = config;
    assert!(matches!(server.scheme_str(), Some("http" | "https")), "{server}");
    assert!(
        server.host().is_some_and(|host| !host.is_empty()) && server.port_u16() > Some(0),
        "{server}"
    );
    let ids = wanted
        .iter()
        .map(|adapter| &adapter.id)
        .chain(unwanted)
        .chain(conflicts);
    let ids: Vec<_> = ids.collect();
    assert!(wanted.len() + conflicts.len() <= MAX_ADAPTERS && unwanted.len() + conflicts.len() <= MAX_ADAPTERS);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{ids:?}");
    let others = wanted
        .iter()
        .flat_map(|adapter| adapter.base_model.iter().chain([&adapter.source]));
    for text in ids.into_iter().chain(others).chain(name) {
        assert!(!text.is_empty() && !text.chars().any(char::is_control), "{text:?}");
    }
}

/// What a file of this says is the same.
fn check_again(config: &Config, text: &str) {
    // A base model that was said once is said with each adapter.
    if text.len() > MAX_BYTES {
        return;
    }
    let again = config::parse(text.as_bytes()).map(|parsed| parsed.config);
    assert_eq!(again.as_ref(), Ok(config), "{text}");
}

/// A file as JSON, which is YAML, too.
fn json(config: &Config) -> Value {
    let Config {
        server,
        name,
        wanted,
        unwanted,
        conflicts,
    } = config;
    let wanted = wanted.iter().map(
        |adapter| json!({"id": &*adapter.id, "source": &*adapter.source, "base-model": adapter.base_model.as_deref()}),
    );
    let both = || conflicts.iter().map(|id| json!({"id": &**id, "source": "/"}));
    let unwanted = unwanted.iter().map(|id| json!({"id": &**id}));
    let host = format!(
        "{}://{}",
        server.scheme_str().unwrap_or_default(),
        server.host().unwrap_or_default()
    );
    json!({"vLLMLoRAConfig": {
        "host": host,
        "port": server.port_u16(),
        "name": name.as_deref(),
        "ensureExist": {"models": wanted.chain(both()).collect::<Vec<_>>()},
        "ensureNotExist": {"models": unwanted.chain(both()).collect::<Vec<_>>()},
    }})
}

/// The same in lines and in single quotes, as a person would write it.
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
        // Nothing is as good as no key.
        Value::Null => {}
        other => text.push_str(&format!(" {other}")),
    }
}
