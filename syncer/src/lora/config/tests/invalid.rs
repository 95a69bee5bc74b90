//! Errors and warnings, each with its position.

use super::*;

#[test]
fn every_error_is_reported_with_its_position() {
    let text = "vLLMLoRAConfig:
  host: ''
  port: '8000'
  name: 7
  ensureExist:
    models:
    - source: /a
    - id: b
    - id:
      source: /c
    - id: ''
      source: [x]
    - d
    - id: 12
      source: true
  ensureNotExist:
    models: {id: e}
";
    assert_eq!(
        messages(text),
        [
            "line 2, column 9, vLLMLoRAConfig.host: must not be empty",
            "line 3, column 9, vLLMLoRAConfig.port: expected a number, found a string",
            "line 4, column 9, vLLMLoRAConfig.name: expected a string, found a number",
            "line 7, column 7, vLLMLoRAConfig.ensureExist.models[0].id: required, but missing",
            "line 8, column 7, vLLMLoRAConfig.ensureExist.models[1].source: required, but missing",
            "line 9, column 7, vLLMLoRAConfig.ensureExist.models[2].id: required, but missing",
            "line 11, column 11, vLLMLoRAConfig.ensureExist.models[3].id: must not be empty",
            "line 12, column 15, vLLMLoRAConfig.ensureExist.models[3].source: expected a string, found a list",
            "line 13, column 7, vLLMLoRAConfig.ensureExist.models[4]: expected a mapping, found a string",
            "line 14, column 11, vLLMLoRAConfig.ensureExist.models[5].id: expected a string, found a number",
            "line 15, column 15, vLLMLoRAConfig.ensureExist.models[5].source: expected a string, found a boolean",
            "line 17, column 13, vLLMLoRAConfig.ensureNotExist.models: expected a list, found a mapping",
        ]
    );
    assert!(parse(text.as_bytes()).is_err());
}

#[test]
fn file_without_a_configuration_is_one_error() {
    for (text, message) in [
        ("", "line 1, column 1: the file is empty"),
        ("# nothing\n", "line 1, column 1: the file is empty"),
        ("[]", "line 1, column 1: expected a mapping, found a list"),
        ("text", "line 1, column 1: expected a mapping, found a string"),
        ("---\n", "line 1, column 4: expected a mapping, found null"),
        ("{}", "line 1, column 1, vLLMLoRAConfig: required, but missing"),
        (
            "vLLMLoRAConfig:\n",
            "line 1, column 1, vLLMLoRAConfig: required, but missing",
        ),
        (
            "vLLMLoRAConfig: [a]",
            "line 1, column 17, vLLMLoRAConfig: expected a mapping, found a list",
        ),
        (
            "vLLMLoRAConfig: {}\n---\nvLLMLoRAConfig: {}",
            "line 2, column 1: a second YAML document starts here; only one is supported",
        ),
        (
            "vLLMLoRAConfig: {port: 0}",
            "line 1, column 24, vLLMLoRAConfig.port: 0 is not a port (1 to 65535)",
        ),
        (
            "vLLMLoRAConfig: {port: 65536}",
            "line 1, column 24, vLLMLoRAConfig.port: 65536 is not a port (1 to 65535)",
        ),
        (
            "vLLMLoRAConfig: {port: 80.5}",
            "line 1, column 24, vLLMLoRAConfig.port: 80.5 is not a port (1 to 65535)",
        ),
        (
            "vLLMLoRAConfig: {host: a, host: b}",
            "line 1, column 27, vLLMLoRAConfig.host: duplicate key, first given on line 1",
        ),
        (
            "vLLMLoRAConfig: {host: !secret a}",
            "line 1, column 32, vLLMLoRAConfig.host: expected a string, found a tagged value",
        ),
        (
            "vLLMLoRAConfig: {<<: {host: a}}",
            "line 1, column 18, vLLMLoRAConfig: merge keys are not supported; write the keys out",
        ),
        ("vLLMLoRAConfig: &a [*a]", "line 1, column 21: recursive alias"),
    ] {
        assert_eq!(messages(text), [message], "{text}");
        assert!(parse(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn syntax_error_has_a_position() {
    for (text, position) in [
        ("vLLMLoRAConfig: {", "line 1"),
        ("vLLMLoRAConfig:\n  host: 'a", "line 2"),
        ("vLLMLoRAConfig:\n  host: a\n port: 1", "line 3"),
        ("vLLMLoRAConfig: *a", "line 1, column 17: "),
    ] {
        let found = messages(text);
        assert_eq!(found.len(), 1, "{text}");
        assert!(found[0].starts_with(position), "{text}: {found:?}");
        assert!(
            matches!(parse(text.as_bytes()).unwrap_err()[0].kind, ConfigErrorKind::Syntax(ref text) if !text.is_empty())
        );
    }
    let error = parse(b"vLLMLoRAConfig:\n  host: \xff").unwrap_err();
    assert_eq!(error[0].to_string(), "line 2, column 9: not valid UTF-8");
}

/// Gateway API Inference Extension's LoRA sidecar accepts such files, so its replacement must.
#[test]
fn harmless_items_are_warnings() {
    let text = "
other: 1
vLLMLoRAConfig:
  hots: a
  ensureExist:
    models:
    - {id: a, source: /a, baseModel: b}
    - {id: a, source: /a}
    - {id: b, source: /b}
  ensureNotExist:
    models:
    - id: c
    - {id: c, source: /c}
    - id: b
";
    assert_eq!(
        messages(text),
        [
            "line 2, column 1, other: unknown key, ignored",
            "line 4, column 3, vLLMLoRAConfig.hots: unknown key, ignored",
            "line 7, column 27, vLLMLoRAConfig.ensureExist.models[0].baseModel: unknown key, ignored",
            "line 8, column 12, vLLMLoRAConfig.ensureExist.models[1].id: duplicate of \"a\" on line 7, ignored",
            "line 13, column 12, vLLMLoRAConfig.ensureNotExist.models[1].id: duplicate of \"c\" on line 12, ignored",
            "line 14, column 11, vLLMLoRAConfig.ensureNotExist.models[2].id: \"b\" is also listed in ensureExist, on line 9; \
             the adapter is left as it is",
        ]
    );
    let config = valid(text);
    assert_eq!(config.desired, [spec("a", "/a", None)]);
    assert_eq!(config.excluded, [Arc::from("c")]);
    assert_eq!(config.conflicts, [Arc::from("b")]);
}

#[test]
fn one_id_with_two_sources_is_an_error() {
    let text = ensure_exist("    - {id: a, source: /a}\n    - {id: a, source: /b}\n");
    assert_eq!(
        messages(&text),
        [
            "line 5, column 12, vLLMLoRAConfig.ensureExist.models[1].id: \"a\" is already listed on line 4, with another source or base-model"
        ]
    );
    assert!(parse(text.as_bytes()).is_err());
}

#[test]
fn control_characters_in_strings_are_errors() {
    for (id, position) in [
        ("\"a\\nb\"", "line 5, column 11"),
        ("\"\\e[2J\"", "line 5, column 11"),
        // The text of a block scalar starts on the next line.
        ("|\n        a\n", "line 6, column 9"),
    ] {
        let found = messages(&ensure_exist(&format!("    - source: /a\n      id: {id}\n")));
        let message = "vLLMLoRAConfig.ensureExist.models[0].id: contains a line break or another control character";
        assert_eq!(found, [format!("{position}, {message}")], "{id}");
    }
}

#[test]
fn key_with_a_line_break_is_reported_on_one_line() {
    assert_eq!(
        messages("vLLMLoRAConfig: {\"a\\nb\\e[31m\": 1}"),
        ["line 1, column 18, vLLMLoRAConfig.a\u{fffd}b\u{fffd}[31m: unknown key, ignored"]
    );
}
