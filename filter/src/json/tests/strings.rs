//! Strings that no path selects, around the blocks in which they are searched.

use super::*;
use crate::json::skip::{end_of_number, end_of_text};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Two blocks and a part of a third.
const LENGTHS: std::ops::Range<usize> = 0..40;

#[test]
fn first_quote_or_backslash_ends_the_text() {
    // One bit away from the ends, and the lowest and highest bytes.
    for filler in [0x00, 0x02, 0x20, 0x23, 0x21, 0x5d, 0x58, 0x7c, 0xa2, 0xdc, 0xff] {
        for length in LENGTHS {
            let text = vec![filler; length];
            assert_eq!(end_of_text(&text), length, "{filler:#x}");
            for at in 0..length {
                for (end, other) in [(b'"', b'\\'), (b'\\', b'"')] {
                    let mut text = text.clone();
                    text[at] = end;
                    assert_eq!(end_of_text(&text), at, "{filler:#x} {length}");
                    text[length - 1] = other;
                    assert_eq!(end_of_text(&text), at.min(length - 1), "{filler:#x} {length}");
                }
            }
        }
    }
}

#[test]
fn number_ends_at_the_first_other_byte() {
    for byte in 0..=u8::MAX {
        let is_in_numbers = b"0123456789.-+eE".contains(&byte);
        assert_eq!(
            end_of_number(&[b'1', byte]),
            1 + usize::from(is_in_numbers),
            "{byte:#x}"
        );
    }
}

#[test]
fn run_of_backslashes_escapes_by_its_parity() {
    for length in LENGTHS {
        let filler = "x".repeat(length);
        for run in 0..35 {
            let backslashes = "\\".repeat(run);
            let (ended, continued) = if run % 2 == 0 { ("\"", "") } else { ("\\\"", "\"") };
            for text in [
                format!(r#"{{"z":"{filler}{backslashes}{ended},"a":1}}"#),
                format!(r#"{{"z":"{filler}{backslashes}"{continued},"a":1}}"#),
                format!(r#"{{"{filler}{backslashes}"{continued}:0,"a":1}}"#),
            ] {
                let (events, progress) = scan_unchunked(text.as_bytes());
                assert_eq!(progress, Progress::Complete, "{text}");
                assert_eq!(events[1], (Id::A, Seen::Scalar(Json::from(1))), "{text}");
                assert_eq!(scan(text.as_bytes().chunks(1)), (events, progress), "{text}");
            }
        }
    }
}

#[test]
fn escape_may_be_cut_anywhere() {
    for length in LENGTHS {
        let filler = "x".repeat(length);
        let text = format!(r#"{{"z":"{filler}\"{filler}\\","{filler}\"":"\u005c\\\"","a":"{filler}\""}}"#);
        let expected = scan_unchunked(text.as_bytes());
        assert_eq!(expected.1, Progress::Complete);
        let decoded = Seen::Scalar(Json::from(format!("{filler}\"")));
        assert_eq!(expected.0[1], (Id::A, decoded));
        for at in 0..=text.len() {
            let (before, after) = text.as_bytes().split_at(at);
            assert_eq!(scan([before, after]), expected, "split at {at} of {text}");
        }
    }
}

#[test]
fn values_at_no_path_have_to_be_json_too() {
    for value in [
        "[1,,2]",
        "[1,]",
        "[{]}",
        "{\"y\":[1}]",
        "{\"y\" 1}",
        "{\"y\":}",
        "{y:1}",
        "nul",
        "tru e",
        "[\"a\" \"b\"]",
        "[[[\"]\"]]]]",
        "'a'",
    ] {
        let text = format!(r#"{{"z":{value},"a":1}}"#);
        let progress = Progress::Malformed(ScanError::UnexpectedByte);
        assert_eq!(scan_unchunked(text.as_bytes()).1, progress, "{text}");
        assert_eq!(scan(text.as_bytes().chunks(1)).1, progress, "{text}");
    }
}
