use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Name and data of each event.
pub(super) fn split<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<(String, String)> {
    let mut parser = Parser::default();
    let mut events = Vec::new();
    let mut data = Vec::new();
    let mut on = |piece: Piece<'_>| match piece {
        Piece::Data(bytes) => data.extend_from_slice(bytes),
        Piece::End { name, has_error: _ } => events.push((
            String::from_utf8_lossy(name).into_owned(),
            String::from_utf8_lossy(&std::mem::take(&mut data)).into_owned(),
        )),
    };
    for chunk in chunks {
        parser.feed(chunk, &mut on);
    }
    parser.finish(&mut on);
    assert!(data.is_empty(), "data after the last event: {data:?}");
    events
}

fn data_of(text: &str) -> Vec<String> {
    let unchunked = split([text.as_bytes()]);
    for at in 0..=text.len() {
        let (before, after) = text.as_bytes().split_at(at);
        assert_eq!(split([before, after]), unchunked, "cut at {at}");
    }
    assert_eq!(split(text.as_bytes().chunks(1)), unchunked);
    unchunked.into_iter().map(|(_, data)| data).collect()
}

#[test]
fn lf_cr_and_crlf_end_a_line() {
    for eol in ["\n", "\r\n", "\r"] {
        assert_eq!(
            data_of(&"data: a\n\ndata: b\ndata: c\n\n".replace('\n', eol)),
            ["a", "b\nc"],
            "{eol:?}"
        );
    }
    assert_eq!(data_of("data: a\r\n\rdata: b\n\r\ndata: c\r\r"), ["a", "b", "c"]);
}

#[test]
fn one_space_after_the_colon_is_ignored() {
    assert_eq!(
        data_of("data:a\n\ndata: a\n\ndata:  a\n\ndata:\ta\n\n"),
        ["a", "a", " a", "\ta"]
    );
}

#[test]
fn empty_data_field_makes_an_event() {
    assert_eq!(data_of("data\n\ndata:\n\ndata: \ndata:\n\n"), ["", "", "\n"]);
}

#[test]
fn event_without_data_is_not_dispatched() {
    assert_eq!(
        data_of(": ping\n\nid: 7\nretry: 5\n\nevent: x\n\n\n\ndata: a\n: in between\nid: 8\n\n"),
        ["a"]
    );
    assert_eq!(
        data_of("datax: a\n\nxdata: a\n\n data: a\n\ndata : a\n\nDATA: a\n\n"),
        Vec::<String>::new()
    );
}

#[test]
fn error_field_makes_an_event() {
    let errors = |text: &str| {
        let read = |chunks: &[&[u8]]| {
            let (mut parser, mut errors) = (Parser::default(), Vec::new());
            let mut on = |piece: Piece<'_>| {
                if let Piece::End { has_error, .. } = piece {
                    errors.push(has_error);
                }
            };
            for chunk in chunks {
                parser.feed(chunk, &mut on);
            }
            parser.finish(&mut on);
            errors
        };
        let unchunked = read(&[text.as_bytes()]);
        for at in 0..=text.len() {
            let (before, after) = text.as_bytes().split_at(at);
            assert_eq!(read(&[before, after]), unchunked, "cut at {at} of {text}");
        }
        unchunked
    };
    for (text, expected) in [
        (
            "data: a\n\nerror: {\"code\":500}\n\ndata: b\n\n",
            vec![false, true, false],
        ),
        ("error\n\n", vec![true]),
        ("error: {\"co", vec![true]),
        ("err", vec![]),
        ("errors: x\n\n: error: x\n\ndata: error: x\n\n", vec![false]),
        ("error: x\ndata: y\n\n", vec![true]),
    ] {
        assert_eq!(errors(text), expected, "{text}");
    }
}

#[test]
fn last_event_needs_no_blank_line() {
    for end in ["", "\n", "\r", "\r\n", "\n\n"] {
        assert_eq!(data_of(&format!("data: a\n\ndata: b{end}")), ["a", "b"], "{end:?}");
    }
}

#[test]
fn byte_order_mark_is_ignored_only_at_the_start() {
    assert_eq!(data_of("\u{feff}data: a\n\n\u{feff}data: b\n\n"), ["a"]);
    let half = [&b"\xef\xbb"[..], b"data: a\n\ndata: b\n\n"].concat();
    assert_eq!(split([half.as_slice()]), [(String::new(), "b".to_owned())]);
}

#[test]
fn last_event_field_names_the_event_and_not_the_next_one() {
    let text = "event: a\nevent: b\ndata: 1\n\ndata: 2\n\nevent:c\n\ndata: 3\n\n";
    let named = |name: &str, data: &str| (name.to_owned(), data.to_owned());
    assert_eq!(
        split([text.as_bytes()]),
        [named("b", "1"), named("", "2"), named("", "3")]
    );
}

#[test]
fn long_names_are_truncated() {
    let mut parser = Parser::default();
    for _ in 0..1000 {
        parser.feed(&[b'x'; 1000], &mut |_| {});
    }
    parser.feed(b"\nevent:", &mut |_| {});
    for _ in 0..1000 {
        parser.feed(&[b'x'; 1000], &mut |_| {});
    }
    assert!(parser.field.capacity() + parser.name.capacity() < 4 * MAX_NAME);
}
