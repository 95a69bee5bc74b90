//! Properties of the parser on generated streams, with a direct transcription of the standard as the reference.

use proptest::prelude::*;

use super::MAX_NAME;
use super::tests::split;

proptest! {
    #[test]
    fn events_are_those_of_the_standard(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("data"), Just("event"), Just(":"), Just(" "), Just("\n"), Just("\r"), Just("\r\n"), Just("\n\n"),
                Just("x"), Just("id"), Just("error"), Just("\u{fc}"), Just("{}"),
            ], 0..40),
        size in 1usize..5,
    ) {
        let text = parts.concat();
        let lines = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut events = Vec::new();
        let (mut name, mut data, mut has_error) = (String::new(), Vec::new(), false);
        for line in lines.split('\n').chain([""]) {
            if line.is_empty() {
                if !data.is_empty() || has_error {
                    events.push((name.clone(), data.join("\n")));
                }
                name.clear();
                data.clear();
                has_error = false;
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            match field {
                "data" => data.push(value.strip_prefix(' ').unwrap_or(value)),
                "event" => name = value.strip_prefix(' ').unwrap_or(value).chars().take(MAX_NAME).collect(),
                "error" => has_error = true,
                _ => {}
            }
        }
        prop_assert_eq!(split([text.as_bytes()]), events.clone());
        prop_assert_eq!(split(text.as_bytes().chunks(size)), events);
    }
}
