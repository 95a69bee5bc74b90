//! Limits, and input that is no configuration at all.

use proptest::prelude::*;

use super::*;

#[test]
fn alias_bomb_has_a_bounded_number_of_errors() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x]\n");
    for level in 1..64 {
        let before = level - 1;
        text += &format!("a{level}: &a{level} [*a{before}, *a{before}, *a{before}, *a{before}]\n");
    }
    text += &ensure_exist("      *a63\n");
    let found = parse(text.as_bytes()).unwrap_err();
    assert_eq!(found.len(), 64 + 4);

    // As many errors as fit in a megabyte.
    let keys: String = (0..50_000).map(|key| format!("k{key}: 1, ")).collect();
    let items = "    - *a\n".repeat(MAX_ADAPTERS);
    let text = format!("a: &a {{{keys}}}\n{}", ensure_exist(&items));
    let found = parse(text.as_bytes()).unwrap_err();
    assert_eq!(found.len(), MAX_ERRORS + 1);
}

#[test]
fn many_warnings_do_not_hide_an_error() {
    let warnings: String = (0..MAX_ERRORS).map(|key| format!("k{key}: 1\n")).collect();
    let harmless = format!("{warnings}{}", ensure_exist("    - {id: a, source: /a}\n"));
    assert_eq!(messages(&harmless).len(), MAX_ERRORS);
    assert_eq!(valid(&harmless).desired, [spec("a", "/a", None)]);

    let invalid = format!("{warnings}{}", ensure_exist("    - {id: a}\n"));
    let found = parse(invalid.as_bytes()).unwrap_err();
    assert_eq!(
        found.last().map(|error| &error.kind),
        Some(&ConfigErrorKind::TooManyErrors)
    );
}

#[test]
fn sizes_are_limited() {
    let long = vec![b' '; MAX_BYTES + 1];
    assert_eq!(
        parse(&long).unwrap_err()[0].kind,
        ConfigErrorKind::FileTooLarge { max: MAX_BYTES }
    );

    let many: String = (0..=MAX_ADAPTERS)
        .map(|id| format!("    - {{id: a{id}, source: /a}}\n"))
        .collect();
    let found = messages(&ensure_exist(&many));
    assert_eq!(
        found,
        ["line 4, column 7, vLLMLoRAConfig.ensureExist.models: 2001 adapters exceed the limit of 2000"]
    );
    let most = many.rsplit_once("    - ").unwrap().0;
    assert_eq!(valid(&ensure_exist(most)).desired.len(), MAX_ADAPTERS);

    let long = "x".repeat(MAX_STRING_BYTES + 1);
    let found = messages(&ensure_exist(&format!("    - {{id: {long}, source: /a}}\n")));
    assert_eq!(
        found,
        ["line 4, column 12, vLLMLoRAConfig.ensureExist.models[0].id: longer than 4096 bytes"]
    );

    let deep = "[".repeat(100_000);
    assert_eq!(messages(&deep).len(), 1);
}

#[test]
fn every_prefix_of_a_file_is_parsed_without_panic() {
    let text = "a: &a [1, *a]\nvLLMLoRAConfig: {host: \"h\\u00e9\", port: 1}\n---\n? [x]\n: !t 'y'\n";
    for end in 0..=text.len() {
        _ = parse(&text.as_bytes()[..end]);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_parsed_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        _ = parse(&bytes);
    }

    #[test]
    fn arbitrary_yaml_punctuation_is_parsed_without_panic(text in "[\\[\\]{}:,&*!?|>'\"#%@ \\n\\-a<~0]{0,120}") {
        let text = text.replace('@', "vLLMLoRAConfig: ");
        if let Err(errors) = parse(text.as_bytes()) {
            prop_assert!(!errors.is_empty());
            prop_assert!(errors.len() <= MAX_ERRORS + 1);
        }
    }
}
