use super::*;
use crate::json::Segment::{Each, Key};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Keys that differ in one place, in length and in nothing but their object.
static SIMILAR: Paths<u8> = Paths::new(&[
    &[path(0, &[Key("prompt_tokens")]), path(1, &[Key("prompt_tokenz")])],
    &[path(2, &[Key("prompt_token")]), path(3, &[Key("xrompt_tokens")])],
    &[
        path(4, &[Key("a"), Key("prompt_tokens")]),
        path(5, &[Key("a"), Each, Key("prompt_tokens")]),
        path(6, &[Key("a"), Each, Each]),
        path(7, &[Key("")]),
        path(8, &[Key("abcdefghijklmnopqrstuvwxyz01234")]),
    ],
]);

const fn path(id: u8, segments: &'static [Segment]) -> Path<u8> {
    Path { id, segments }
}

/// The numbers at the paths, in one chunk and for every cut.
fn numbers(text: &str) -> Vec<(u8, String)> {
    let read = |chunks: &[&[u8]]| {
        let mut scanner = Scanner::new(&SIMILAR);
        let mut numbers = Vec::new();
        for chunk in chunks {
            scanner.feed(chunk, |id, value| {
                if let Value::Number(digits) = value {
                    numbers.push((id, String::from_utf8_lossy(digits).into_owned()));
                }
            });
        }
        assert_eq!(scanner.progress(), Progress::Complete, "{text}");
        numbers
    };
    let unchunked = read(&[text.as_bytes()]);
    for at in 0..=text.len() {
        let (before, after) = text.as_bytes().split_at(at);
        assert_eq!(read(&[before, after]), unchunked, "split at {at} of {text}");
    }
    unchunked
}

#[test]
fn key_is_compared_whole() {
    let long = "abcdefghijklmnopqrstuvwxyz01234";
    let longest = "y".repeat(1000);
    for (text, expected) in [
        (
            r#"{"prompt_tokens":1,"prompt_tokenz":2}"#.to_owned(),
            &[(0, "1"), (1, "2")][..],
        ),
        (r#"{"prompt_token":1,"prompt_tokens_":2}"#.to_owned(), &[(2, "1")]),
        (r#"{"xrompt_tokens":1,"yrompt_tokens":2}"#.to_owned(), &[(3, "1")]),
        (r#"{"Prompt_tokens":1,"prompt-tokens":2}"#.to_owned(), &[]),
        (r#"{"":1,"\u0000":2}"#.to_owned(), &[(7, "1")]),
        (format!(r#"{{"{long}":1,"{long}5":2,"{longest}":3}}"#), &[(8, "1")]),
        // Escapes are decoded first.
        (r#"{"prompt\u005ftokens":1,"prompt\\tokens":2}"#.to_owned(), &[(0, "1")]),
        (
            r#"{"\u0070rompt_token\u0073":1,"prompt_tokens\"":2}"#.to_owned(),
            &[(0, "1")],
        ),
        (format!(r#"{{"prompt_tokens{}":1}}"#, "\\u0073".repeat(300)), &[]),
        // All of them are emitted; the reader keeps the last.
        (
            r#"{"prompt_tokens":1,"prompt_tokens":2}"#.to_owned(),
            &[(0, "1"), (0, "2")],
        ),
    ] {
        let expected: Vec<_> = expected
            .iter()
            .map(|(id, digits)| (*id, (*digits).to_owned()))
            .collect();
        assert_eq!(numbers(&text), expected, "{text}");
    }
}

#[test]
fn path_leads_through_objects_and_arrays_of_the_same_key() {
    for (text, expected) in [
        (r#"{"a":{"prompt_tokens":1,"a":2}}"#, &[(4, "1")][..]),
        (
            r#"{"a":[{"prompt_tokens":1},[2,3],4]}"#,
            &[(5, "1"), (6, "2"), (6, "3")],
        ),
        (r#"{"a":{"a":{"prompt_tokens":1}},"prompt_tokens":2}"#, &[(0, "2")]),
        (r#"{"b":{"prompt_tokens":1},"a":{"prompt_tokens":[2]}}"#, &[]),
        (r#"[{"prompt_tokens":1}]"#, &[]),
    ] {
        let expected: Vec<_> = expected
            .iter()
            .map(|(id, digits)| (*id, (*digits).to_owned()))
            .collect();
        assert_eq!(numbers(text), expected, "{text}");
    }
}

#[test]
fn path_is_found_again_after_deep_containers() {
    for depth in [1, 5, 6, 7, 8, 63, 64, 65, 128, 1000] {
        let (arrays, objects) = ("[".repeat(depth), "{\"a\":".repeat(depth));
        let (ends, object_ends) = ("]".repeat(depth), "}".repeat(depth));
        let text = format!(
            r#"{{"b":{arrays}{{"prompt_tokens":1}}{ends},"a":[{objects}1{object_ends},{{"prompt_tokens":2}}],"prompt_token":3}}"#
        );
        let expected = [(5, "2".to_owned()), (2, "3".to_owned())];
        assert_eq!(numbers(&text), expected, "{depth}");
    }
}
