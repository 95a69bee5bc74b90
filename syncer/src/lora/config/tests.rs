use proptest::prelude::*;

use super::*;

/// What is wrong with the file, a line each.
fn mistakes(text: &str) -> Vec<String> {
    let mistakes = match parse(text.as_bytes()) {
        Ok(parsed) => parsed.warnings,
        Err(mistakes) => mistakes,
    };
    mistakes.iter().map(ToString::to_string).collect()
}

fn good(text: &str) -> Config {
    match parse(text.as_bytes()) {
        Ok(parsed) => parsed.config,
        Err(mistakes) => panic!("{mistakes:?}"),
    }
}

/// `ensureExist` with these models, a line each.
fn wanting(models: &str) -> String {
    format!("vLLMLoRAConfig:\n  ensureExist:\n    models:\n{models}")
}

fn adapter(id: &str, source: &str, base_model: Option<&str>) -> Adapter {
    Adapter {
        id: Arc::from(id),
        source: Arc::from(source),
        base_model: base_model.map(Arc::from),
    }
}

#[test]
fn a_whole_file_is_read_in_its_order() {
    let config = good(
        "
# The guide's example.
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
    assert_eq!(config.server, "http://modelserver:8001");
    assert_eq!(config.name.as_deref(), Some("food-review"));
    let default = Some("meta-llama/Llama-3.1-8B-Instruct");
    assert_eq!(
        config.wanted,
        [
            adapter("z", "/adapters/z", default),
            adapter("a", "some/repo", Some("other"))
        ]
    );
    assert_eq!(config.unwanted, [Arc::from("y"), Arc::from("b")]);
    assert_eq!(config.conflicts, [Arc::from("both")]);
}

#[test]
fn what_is_not_said_is_as_the_reference_has_it() {
    for text in [
        "vLLMLoRAConfig: {}",
        "vLLMLoRAConfig:\n  ensureExist:\n  ensureNotExist:\n    models:\n  host: ~\n  port: null",
        "---\nvLLMLoRAConfig:\n  ensureExist: {models: []}\n...\n",
    ] {
        let config = good(text);
        assert_eq!(config.server, "http://localhost:8000", "{text}");
        assert_eq!(
            (config.name, config.wanted, config.unwanted),
            (None, vec![], vec![]),
            "{text}"
        );
        assert_eq!(mistakes(text), [""; 0], "{text}");
    }
}

#[test]
fn a_host_may_bring_its_scheme() {
    for (host, server) in [
        ("localhost", "http://localhost:8000"),
        ("10.0.0.1", "http://10.0.0.1:8000"),
        ("'::1'", "http://[::1]:8000"),
        ("'[::1]'", "http://[::1]:8000"),
        ("http://h", "http://h:8000"),
        ("https://h.ns.svc", "https://h.ns.svc:8000"),
    ] {
        assert_eq!(good(&format!("vLLMLoRAConfig: {{host: {host}}}")).server, server);
    }
    for host in ["h:1", "ftp://h", "u@h", "h/path", "'a b'", "https://", "h?q", "'h#f'"] {
        let found = mistakes(&format!("vLLMLoRAConfig: {{host: {host}}}"));
        assert_eq!(found.len(), 1, "{host}: {found:?}");
        assert!(
            found[0].starts_with("line 1, column 24, vLLMLoRAConfig.host: "),
            "{found:?}"
        );
    }
}

#[test]
fn every_mistake_is_told_with_its_place() {
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
        mistakes(text),
        [
            "line 2, column 9, vLLMLoRAConfig.host: is empty",
            "line 3, column 9, vLLMLoRAConfig.port: is text, not a number",
            "line 4, column 9, vLLMLoRAConfig.name: is a number, not text",
            "line 7, column 7, vLLMLoRAConfig.ensureExist.models[0].id: is missing",
            "line 8, column 7, vLLMLoRAConfig.ensureExist.models[1].source: is missing",
            "line 9, column 7, vLLMLoRAConfig.ensureExist.models[2].id: is missing",
            "line 11, column 11, vLLMLoRAConfig.ensureExist.models[3].id: is empty",
            "line 12, column 15, vLLMLoRAConfig.ensureExist.models[3].source: is a list, not text",
            "line 13, column 7, vLLMLoRAConfig.ensureExist.models[4]: is text, not a mapping",
            "line 14, column 11, vLLMLoRAConfig.ensureExist.models[5].id: is a number, not text",
            "line 15, column 15, vLLMLoRAConfig.ensureExist.models[5].source: is true or false, not text",
            "line 17, column 13, vLLMLoRAConfig.ensureNotExist.models: is a mapping, not a list",
        ]
    );
    assert!(parse(text.as_bytes()).is_err());
}

#[test]
fn what_is_no_configuration_is_one_mistake() {
    for (text, mistake) in [
        ("", "line 1, column 1: the file is empty"),
        ("# nothing\n", "line 1, column 1: the file is empty"),
        ("[]", "line 1, column 1: is a list, not a mapping"),
        ("text", "line 1, column 1: is text, not a mapping"),
        ("---\n", "line 1, column 4: is nothing, not a mapping"),
        ("{}", "line 1, column 1, vLLMLoRAConfig: is missing"),
        ("vLLMLoRAConfig:\n", "line 1, column 1, vLLMLoRAConfig: is missing"),
        (
            "vLLMLoRAConfig: [a]",
            "line 1, column 17, vLLMLoRAConfig: is a list, not a mapping",
        ),
        (
            "vLLMLoRAConfig: {}\n---\nvLLMLoRAConfig: {}",
            "line 2, column 1: a second document begins; there may be one",
        ),
        (
            "vLLMLoRAConfig: {port: 0}",
            "line 1, column 24, vLLMLoRAConfig.port: 0 is not a port from 1 to 65535",
        ),
        (
            "vLLMLoRAConfig: {port: 65536}",
            "line 1, column 24, vLLMLoRAConfig.port: 65536 is not a port from 1 to 65535",
        ),
        (
            "vLLMLoRAConfig: {port: 80.5}",
            "line 1, column 24, vLLMLoRAConfig.port: 80.5 is not a port from 1 to 65535",
        ),
        (
            "vLLMLoRAConfig: {host: a, host: b}",
            "line 1, column 27, vLLMLoRAConfig.host: the key was given before, on line 1",
        ),
        (
            "vLLMLoRAConfig: {host: !secret a}",
            "line 1, column 32, vLLMLoRAConfig.host: is a value with a tag, not text",
        ),
        (
            "vLLMLoRAConfig: {<<: {host: a}}",
            "line 1, column 18, vLLMLoRAConfig: merge keys are not read; write the keys out",
        ),
        (
            "vLLMLoRAConfig: &a [*a]",
            "line 1, column 21: an alias stands inside of what it stands for",
        ),
    ] {
        assert_eq!(mistakes(text), [mistake], "{text}");
        assert!(parse(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn a_syntax_error_is_told_with_its_place() {
    for (text, place) in [
        ("vLLMLoRAConfig: {", "line 1"),
        ("vLLMLoRAConfig:\n  host: 'a", "line 2"),
        ("vLLMLoRAConfig:\n  host: a\n port: 1", "line 3"),
        ("vLLMLoRAConfig: *a", "line 1, column 17: "),
    ] {
        let found = mistakes(text);
        assert_eq!(found.len(), 1, "{text}");
        assert!(found[0].starts_with(place), "{text}: {found:?}");
        assert!(matches!(parse(text.as_bytes()).unwrap_err()[0].what, What::Syntax(ref why) if !why.is_empty()));
    }
    let error = parse(b"vLLMLoRAConfig:\n  host: \xff").unwrap_err();
    assert_eq!(error[0].to_string(), "line 2, column 9: is not UTF-8");
}

/// The reference takes such files, and a sidecar that takes its place must too.
#[test]
fn what_is_only_odd_is_a_warning() {
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
        mistakes(text),
        [
            "line 2, column 1, other: the key is not known and means nothing",
            "line 4, column 3, vLLMLoRAConfig.hots: the key is not known and means nothing",
            "line 7, column 27, vLLMLoRAConfig.ensureExist.models[0].baseModel: the key is not known and means nothing",
            "line 8, column 12, vLLMLoRAConfig.ensureExist.models[1].id: \"a\" was given before, on line 7; once is enough",
            "line 13, column 12, vLLMLoRAConfig.ensureNotExist.models[1].id: \"c\" was given before, on line 12; once is enough",
            "line 14, column 11, vLLMLoRAConfig.ensureNotExist.models[2].id: \"b\" also stands in ensureExist, on line 9; \
             the adapter is left alone",
        ]
    );
    let config = good(text);
    assert_eq!(config.wanted, [adapter("a", "/a", None)]);
    assert_eq!(config.unwanted, [Arc::from("c")]);
    assert_eq!(config.conflicts, [Arc::from("b")]);
}

#[test]
fn one_name_for_two_sources_is_a_mistake() {
    let text = wanting("    - {id: a, source: /a}\n    - {id: a, source: /b}\n");
    assert_eq!(
        mistakes(&text),
        [
            "line 5, column 12, vLLMLoRAConfig.ensureExist.models[1].id: \"a\" was given before, on line 4, with other values"
        ]
    );
    assert!(parse(text.as_bytes()).is_err());
}

#[test]
fn text_in_quotes_is_text_and_plain_words_are_too() {
    let text = wanting(
        "    - {id: '1', source: \"null\"}\n    - {id: !!str 2, source: yes}\n    - {id: inf, source: 1.2.3}\n    - {id: -, source: 0x}\n",
    );
    let wanted = good(&text.replace("-, ", "\"-\", ")).wanted;
    let read: Vec<_> = wanted.iter().map(|adapter| (&*adapter.id, &*adapter.source)).collect();
    assert_eq!(read, [("1", "null"), ("2", "yes"), ("inf", "1.2.3"), ("-", "0x")]);
}

#[test]
fn names_are_one_line() {
    for (id, place) in [
        ("\"a\\nb\"", "line 5, column 11"),
        ("\"\\e[2J\"", "line 5, column 11"),
        // A block's text begins on its next line.
        ("|\n        a\n", "line 6, column 9"),
    ] {
        let found = mistakes(&wanting(&format!("    - source: /a\n      id: {id}\n")));
        let what = "vLLMLoRAConfig.ensureExist.models[0].id: has a line break or another control character";
        assert_eq!(found, [format!("{place}, {what}")], "{id}");
    }
}

#[test]
fn aliases_are_read() {
    let text = wanting("    - &a {id: a, source: &s /s}\n    - {id: b, source: *s}\n    - *a\n");
    let wanted = good(&text).wanted;
    assert_eq!(wanted, [adapter("a", "/s", None), adapter("b", "/s", None)]);
}

#[test]
fn a_bomb_of_aliases_is_told_with_few_words() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x]\n");
    for level in 1..64 {
        let before = level - 1;
        text += &format!("a{level}: &a{level} [*a{before}, *a{before}, *a{before}, *a{before}]\n");
    }
    text += &wanting("      *a63\n");
    let found = parse(text.as_bytes()).unwrap_err();
    assert_eq!(found.len(), 64 + 4);

    // As many mistakes as a megabyte can hold.
    let keys: String = (0..50_000).map(|key| format!("k{key}: 1, ")).collect();
    let items = "    - *a\n".repeat(MAX_ADAPTERS);
    let text = format!("a: &a {{{keys}}}\n{}", wanting(&items));
    let found = parse(text.as_bytes()).unwrap_err();
    assert_eq!(found.len(), MAX_MISTAKES + 1);
}

#[test]
fn oddities_beyond_count_do_not_hide_a_mistake() {
    let odd: String = (0..MAX_MISTAKES).map(|key| format!("k{key}: 1\n")).collect();
    let fine = format!("{odd}{}", wanting("    - {id: a, source: /a}\n"));
    assert_eq!(mistakes(&fine).len(), MAX_MISTAKES);
    assert_eq!(good(&fine).wanted, [adapter("a", "/a", None)]);

    let wrong = format!("{odd}{}", wanting("    - {id: a}\n"));
    let found = parse(wrong.as_bytes()).unwrap_err();
    assert_eq!(found.last().map(|mistake| &mistake.what), Some(&What::More));
}

#[test]
fn sizes_are_bounded() {
    let long = vec![b' '; MAX_BYTES + 1];
    assert_eq!(parse(&long).unwrap_err()[0].what, What::TooLong { max: MAX_BYTES });

    let many: String = (0..=MAX_ADAPTERS)
        .map(|id| format!("    - {{id: a{id}, source: /a}}\n"))
        .collect();
    let found = mistakes(&wanting(&many));
    assert_eq!(
        found,
        ["line 4, column 7, vLLMLoRAConfig.ensureExist.models: has 2001 adapters, more than 2000"]
    );
    let most = many.rsplit_once("    - ").unwrap().0;
    assert_eq!(good(&wanting(most)).wanted.len(), MAX_ADAPTERS);

    let long = "x".repeat(MAX_TEXT_BYTES + 1);
    let found = mistakes(&wanting(&format!("    - {{id: {long}, source: /a}}\n")));
    assert_eq!(
        found,
        ["line 4, column 12, vLLMLoRAConfig.ensureExist.models[0].id: has more than 4096 bytes"]
    );

    let deep = "[".repeat(100_000);
    assert_eq!(mistakes(&deep).len(), 1);
}

#[test]
fn no_prefix_of_a_file_breaks_the_reader() {
    let text = "a: &a [1, *a]\nvLLMLoRAConfig: {host: \"h\\u00e9\", port: 1}\n---\n? [x]\n: !t 'y'\n";
    for end in 0..=text.len() {
        _ = parse(&text.as_bytes()[..end]);
    }
}

#[test]
fn a_key_with_a_line_break_is_told_on_one_line() {
    assert_eq!(
        mistakes("vLLMLoRAConfig: {\"a\\nb\\e[31m\": 1}"),
        ["line 1, column 18, vLLMLoRAConfig.a\u{fffd}b\u{fffd}[31m: the key is not known and means nothing"]
    );
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        _ = parse(&bytes);
    }

    #[test]
    fn no_text_of_yaml_s_own_characters_breaks_the_reader(text in "[\\[\\]{}:,&*!?|>'\"#%@ \\n\\-a<~0]{0,120}") {
        let text = text.replace('@', "vLLMLoRAConfig: ");
        if let Err(mistakes) = parse(text.as_bytes()) {
            prop_assert!(!mistakes.is_empty());
            prop_assert!(mistakes.len() <= MAX_MISTAKES + 1);
        }
    }
}
