//! Properties of the scanner on generated documents, with `serde_json` as the reference.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::tests::{Id, Seen, scan, scan_unchunked};
use super::*;

/// The values that the scanner must emit for a parsed document, in which only the last of duplicate keys is left.
fn expected(document: &Json) -> Vec<(Id, Json)> {
    let mut found = vec![(Id::Top, document.clone())];
    let a = document.get("a");
    let b = a.and_then(|a| a.get("b"));
    found.extend(a.map(|a| (Id::A, a.clone())));
    found.extend(b.map(|b| (Id::Ab, b.clone())));
    found.extend(b.and_then(|b| b.get("c")).map(|c| (Id::AbC, c.clone())));
    let list = document.get("l");
    found.extend(list.map(|list| (Id::List, list.clone())));
    for element in list.and_then(Json::as_array).into_iter().flatten() {
        found.push((Id::Element, element.clone()));
        found.extend(element.get("x").map(|x| (Id::ElementX, x.clone())));
    }
    found
}

/// Removes the events that a later duplicate key overrides.
fn last_of_duplicate_keys(events: Vec<(Id, Seen)>) -> Vec<(Id, Seen)> {
    let mut kept: Vec<(Id, Seen)> = Vec::new();
    for (id, value) in events {
        if value != Seen::End {
            let stale: &[Id] = match id {
                Id::A => &[Id::A, Id::Ab, Id::AbC],
                Id::Ab => &[Id::Ab, Id::AbC],
                Id::AbC => &[Id::AbC],
                Id::List => &[Id::List, Id::Element, Id::ElementX],
                Id::Top | Id::Element | Id::ElementX => &[],
            };
            kept.retain(|(id, _)| !stale.contains(id));
            if id == Id::ElementX && kept.last().is_some_and(|(last, _)| *last == Id::ElementX) {
                kept.pop();
            }
            kept.push((id, value));
        }
    }
    kept.sort_by_key(|(id, _)| matches!(id, Id::List | Id::Element | Id::ElementX));
    kept
}

fn shallow(value: Json) -> Seen {
    match value {
        Json::Object(_) => Seen::Object,
        Json::Array(_) => Seen::Array,
        Json::String(text) => Seen::Scalar(Json::from(String::from_utf8_lossy(
            text.as_bytes().get(..MAX_TEXT).unwrap_or(text.as_bytes()),
        ))),
        scalar => Seen::Scalar(scalar),
    }
}

/// The text of a document, with duplicate keys, extra white space and unnecessary escapes, which `serde_json` never writes.
fn document() -> impl Strategy<Value = String> {
    let space = prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\r\n\t ")];
    let number = prop_oneof![
        Just("0".to_owned()),
        Just("-0.0".to_owned()),
        Just("1.25e+2".to_owned()),
        Just("12E-1".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
    ];
    let text = prop_oneof![3 => any::<String>().boxed(), 1 => "[a-z\\\\\"]{0,8}".boxed(), 1 => "x{250,300}".boxed()];
    let string = (text, any::<u64>()).prop_map(|(text, style)| quoted(&text, style));
    let key = (
        prop_oneof![
            Just("a"),
            Just("b"),
            Just("c"),
            Just("l"),
            Just("x"),
            Just("ab"),
            Just("")
        ],
        any::<u64>(),
    )
        .prop_map(|(key, style)| quoted(key, style));
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        number,
        string.clone(),
    ];
    let spaced = (space.clone(), space);
    scalar.prop_recursive(5, 40, 6, move |inner| {
        let list = proptest::collection::vec((spaced.clone(), inner.clone()), 0..6).prop_map(|items| {
            let items: Vec<_> = items
                .into_iter()
                .map(|((before, after), item)| format!("{before}{item}{after}"))
                .collect();
            format!("[{}]", items.join(","))
        });
        let object = proptest::collection::vec((spaced.clone(), key.clone(), inner), 0..6).prop_map(|items| {
            let items: Vec<_> = items
                .into_iter()
                .map(|((before, after), key, item)| format!("{before}{key}{after}:{before}{item}{after}"))
                .collect();
            format!("{{{}}}", items.join(","))
        });
        prop_oneof![1 => list, 3 => object]
    })
}

/// A JSON string of this text. The bits of `style` decide which characters are escaped.
fn quoted(text: &str, style: u64) -> String {
    let mut out = String::from("\"");
    for (index, character) in text.chars().enumerate() {
        let escape = style.rotate_right(index as u32) & 3;
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' if escape != 0 => out.push_str("\\n"),
            '/' if escape != 0 => out.push_str("\\/"),
            control if escape == 0 || control < ' ' => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
    out
}

/// Splits the text at these positions.
fn cut<'a>(text: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(text.len() + 1)).collect();
    places.sort_unstable();
    let ends = places.iter().copied().chain([text.len()]);
    let starts = [0].into_iter().chain(places.iter().copied());
    starts.zip(ends).map(|(start, end)| &text[start..end]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn emits_the_values_that_serde_json_parses(text in document()) {
        // A number at the top level ends only with a further byte.
        let text = text + "\n";
        let document: Json = serde_json::from_str(&text).unwrap();
        let (events, progress) = scan_unchunked(text.as_bytes());
        prop_assert_eq!(progress, Progress::Complete);
        let mut expected_events: Vec<_> = expected(&document).into_iter().map(|(id, value)| (id, shallow(value))).collect();
        expected_events.sort_by_key(|(id, _)| matches!(id, Id::List | Id::Element | Id::ElementX));
        prop_assert_eq!(last_of_duplicate_keys(events), expected_events);
    }

    #[test]
    fn result_does_not_depend_on_chunk_boundaries(text in document(), places: [prop::sample::Index; 5]) {
        let unchunked = scan_unchunked(text.as_bytes());
        prop_assert_eq!(scan(cut(text.as_bytes(), &places)), unchunked.clone());
        prop_assert_eq!(scan(text.as_bytes().chunks(1)), unchunked);
    }

    #[test]
    fn result_is_the_same_for_every_cut(text in document()) {
        let unchunked = scan_unchunked(text.as_bytes());
        for at in 0..=text.len() {
            let (before, after) = text.as_bytes().split_at(at);
            prop_assert_eq!(&scan([before, after]), &unchunked, "split at {}", at);
        }
    }

    #[test]
    fn accepts_every_damaged_document_that_serde_json_accepts(
        text in document(), place: prop::sample::Index, damage: Option<u8>, places: [prop::sample::Index; 3],
    ) {
        let mut bytes = text.into_bytes();
        let at = place.index(bytes.len());
        match damage {
            Some(byte) => bytes[at] = byte,
            None => _ = bytes.remove(at),
        }
        bytes.push(b'\n');
        let (events, progress) = scan_unchunked(&bytes);
        if serde_json::from_slice::<Json>(&bytes).is_ok() {
            prop_assert_eq!(progress, Progress::Complete);
        }
        prop_assert_eq!(scan(cut(&bytes, &places)), (events, progress));
    }

    #[test]
    fn result_for_any_bytes_does_not_depend_on_chunk_boundaries(bytes: Vec<u8>, places: [prop::sample::Index; 3]) {
        prop_assert_eq!(scan(cut(&bytes, &places)), scan_unchunked(&bytes));
    }
}
