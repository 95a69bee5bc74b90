//! Valid files; `invalid` and `limits` have the others.

mod invalid;
mod limits;

use super::*;

/// The errors or warnings of a file as they are displayed.
fn messages(text: &str) -> Vec<String> {
    let errors = match parse(text.as_bytes()) {
        Ok(parsed) => parsed.warnings,
        Err(errors) => errors,
    };
    errors.iter().map(ToString::to_string).collect()
}

fn valid(text: &str) -> Config {
    match parse(text.as_bytes()) {
        Ok(parsed) => parsed.config,
        Err(errors) => panic!("{errors:?}"),
    }
}

/// A file whose `ensureExist` has these lines of models.
fn ensure_exist(models: &str) -> String {
    format!("vLLMLoRAConfig:\n  ensureExist:\n    models:\n{models}")
}

fn spec(id: &str, source: &str, base_model: Option<&str>) -> AdapterSpec {
    AdapterSpec {
        id: Arc::from(id),
        source: Arc::from(source),
        base_model: base_model.map(Arc::from),
    }
}

#[test]
fn complete_file_is_parsed_in_order() {
    let config = valid(
        "
# From the metrics guide.
vLLMLoRAConfig:
  host: modelserver
  port: 8001
  name: food-review
  defaultBaseModel: meta-llama/Llama-3.1-8B-Instruct
  ensureExist:
    models:
    - id: z
      source: /adapters/z
    - {source: some/repo, id: a, base-model: other}
    - id: 'both'
      source: /adapters/both
  ensureNotExist:
    models:
    - id: y
    - id: b
      source: /adapters/b
    - id: both
",
    );
    assert_eq!(config.servers, ["http://modelserver:8001"]);
    assert_eq!(config.name.as_deref(), Some("food-review"));
    let default = Some("meta-llama/Llama-3.1-8B-Instruct");
    assert_eq!(
        config.desired,
        [spec("z", "/adapters/z", default), spec("a", "some/repo", Some("other"))]
    );
    assert_eq!(config.excluded, [Arc::from("y"), Arc::from("b")]);
    assert_eq!(config.conflicts, [Arc::from("both")]);
}

#[test]
fn absent_and_null_keys_have_defaults() {
    for text in [
        "vLLMLoRAConfig: {}",
        "vLLMLoRAConfig:\n  ensureExist:\n  ensureNotExist:\n    models:\n  host: ~\n  port: null",
        "---\nvLLMLoRAConfig:\n  ensureExist: {models: []}\n...\n",
    ] {
        let config = valid(text);
        assert_eq!(config.servers, ["http://localhost:8000"], "{text}");
        assert_eq!(
            (config.name, config.desired, config.excluded),
            (None, vec![], vec![]),
            "{text}"
        );
        assert_eq!(messages(text), [""; 0], "{text}");
    }
}

#[test]
fn host_is_a_name_or_address_with_an_optional_scheme() {
    for (host, server) in [
        ("localhost", "http://localhost:8000"),
        ("10.0.0.1", "http://10.0.0.1:8000"),
        ("'::1'", "http://[::1]:8000"),
        ("'[::1]'", "http://[::1]:8000"),
        ("http://h", "http://h:8000"),
        ("https://h.ns.svc", "https://h.ns.svc:8000"),
    ] {
        assert_eq!(valid(&format!("vLLMLoRAConfig: {{host: {host}}}")).servers, [server]);
    }
    for host in ["h:1", "ftp://h", "u@h", "h/path", "'a b'", "https://", "h?q", "'h#f'"] {
        let found = messages(&format!("vLLMLoRAConfig: {{host: {host}}}"));
        assert_eq!(found.len(), 1, "{host}: {found:?}");
        assert!(
            found[0].starts_with("line 1, column 24, vLLMLoRAConfig.host: "),
            "{found:?}"
        );
    }
}

#[test]
fn quoted_scalars_and_plain_words_are_strings() {
    let text = ensure_exist(
        "    - {id: '1', source: \"null\"}\n    - {id: !!str 2, source: yes}\n    - {id: inf, source: 1.2.3}\n    - {id: -, source: 0x}\n",
    );
    let desired = valid(&text.replace("-, ", "\"-\", ")).desired;
    let read: Vec<_> = desired.iter().map(|adapter| (&*adapter.id, &*adapter.source)).collect();
    assert_eq!(read, [("1", "null"), ("2", "yes"), ("inf", "1.2.3"), ("-", "0x")]);
}

#[test]
fn aliases_are_resolved() {
    let text = ensure_exist("    - &a {id: a, source: &s /s}\n    - {id: b, source: *s}\n    - *a\n");
    let desired = valid(&text).desired;
    assert_eq!(desired, [spec("a", "/s", None), spec("b", "/s", None)]);
}

#[test]
fn several_ports_are_several_servers() {
    let servers = |text: &str| valid(&format!("vLLMLoRAConfig: {{{text}}}")).servers;
    assert_eq!(
        servers("host: https://pod, ports: [8001, 8000]"),
        ["https://pod:8001", "https://pod:8000"]
    );
    assert_eq!(servers("host: '::1', ports: [1]"), ["http://[::1]:1"]);
    // `ports` counts; a port that is not among them is probably forgotten.
    let text = "vLLMLoRAConfig: {port: 7, ports: [8, 9, 8]}";
    assert_eq!(valid(text).servers, ["http://localhost:8", "http://localhost:9"]);
    assert_eq!(
        messages(text),
        [
            "line 1, column 24, vLLMLoRAConfig.port: 7 is not in ports, which is used instead",
            "line 1, column 41, vLLMLoRAConfig.ports[2]: duplicate port 8, ignored",
        ]
    );
    assert_eq!(messages("vLLMLoRAConfig: {port: 8, ports: [8, 9]}"), [] as [&str; 0]);
    assert_eq!(servers("port: 8, ports:"), ["http://localhost:8"]);
}

#[test]
fn invalid_ports_are_errors() {
    for (ports, message) in [
        ("[]", "line 1, column 25, vLLMLoRAConfig.ports: must not be empty"),
        (
            "8000",
            "line 1, column 25, vLLMLoRAConfig.ports: expected a list, found a number",
        ),
        (
            "[8000, x]",
            "line 1, column 32, vLLMLoRAConfig.ports[1]: expected a number, found a string",
        ),
        (
            "[0]",
            "line 1, column 26, vLLMLoRAConfig.ports[0]: 0 is not a port (1 to 65535)",
        ),
    ] {
        let text = format!("vLLMLoRAConfig: {{ports: {ports}}}");
        assert_eq!(messages(&text), [message]);
        assert!(parse(text.as_bytes()).is_err());
    }
    let many: Vec<_> = (1..=MAX_SERVERS + 1).map(|port| port.to_string()).collect();
    let text = format!("vLLMLoRAConfig: {{ports: [{}]}}", many.join(", "));
    assert_eq!(
        messages(&text),
        ["line 1, column 25, vLLMLoRAConfig.ports: 65 ports exceed the limit of 64"]
    );
}
