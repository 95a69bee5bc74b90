//! Owns the tests of the reading of `x-sim`: every key, every kind of mistake.

use std::num::{NonZeroU64, NonZeroUsize};

use super::*;

fn read(list: &str) -> Behaviour {
    list.parse().unwrap_or_else(|error| panic!("{list}: {error}"))
}

fn told(list: &str) -> String {
    list.parse::<Behaviour>().unwrap_err().to_string()
}

#[test]
fn an_empty_list_asks_for_nothing() {
    for list in ["", " ", ";;", " ; "] {
        assert_eq!(read(list), Behaviour::default());
    }
}

#[test]
fn every_key_is_read() {
    let plain = Behaviour::default;
    let ms = Duration::from_millis;
    let end = |ending| Behaviour { ending, ..plain() };
    let usage = |usage| Behaviour { usage, ..plain() };
    for (list, wanted) in [
        (
            "status=503",
            Behaviour {
                status: StatusCode::from_u16(503).ok(),
                ..plain()
            },
        ),
        (
            "body=none;status=404",
            Behaviour {
                status: StatusCode::from_u16(404).ok(),
                body: AskedBody::Empty,
                ..plain()
            },
        ),
        (
            "status=200;body=garbage",
            Behaviour {
                status: StatusCode::from_u16(200).ok(),
                body: AskedBody::Garbage,
                ..plain()
            },
        ),
        (
            "times=3;for=2s",
            Behaviour {
                times: NonZeroU64::new(3),
                lasts: Some(ms(2000)),
                ..plain()
            },
        ),
        (
            "delay=100ms",
            Behaviour {
                delay: ms(100),
                ..plain()
            },
        ),
        (
            "gap=2s",
            Behaviour {
                gap: ms(2000),
                ..plain()
            },
        ),
        (
            "gap=250us",
            Behaviour {
                gap: Duration::from_micros(250),
                ..plain()
            },
        ),
        (
            "chunk=7",
            Behaviour {
                chunking: Chunking::Bytes(NonZeroUsize::new(7).unwrap()),
                ..plain()
            },
        ),
        (
            "chunk=all",
            Behaviour {
                chunking: Chunking::Whole,
                ..plain()
            },
        ),
        ("cut=headers", end(Ending::CutHeaders)),
        ("cut=body:5", end(Ending::CutBody(5))),
        ("cut=event:5", end(Ending::CutEvent(5))),
        ("hang=headers", end(Ending::HangHeaders)),
        ("hang=event:5", end(Ending::HangEvent(5))),
        ("error=event:5", end(Ending::ErrorEvent(5))),
        ("end=event:0", end(Ending::EndEvent(0))),
        ("done=no", Behaviour { done: false, ..plain() }),
        (
            "eol=crlf",
            Behaviour {
                eol: Eol::CrLf,
                ..plain()
            },
        ),
        (
            "eol=cr",
            Behaviour {
                eol: Eol::Cr,
                ..plain()
            },
        ),
        ("eol=lf", plain()),
        (
            "space=no",
            Behaviour {
                space: false,
                ..plain()
            },
        ),
        (
            "comments=yes",
            Behaviour {
                comments: true,
                ..plain()
            },
        ),
        ("usage=early", usage(UsageShape::Early)),
        ("usage=repeat", usage(UsageShape::Repeat)),
        ("usage=none", usage(UsageShape::Absent)),
        ("usage=null", usage(UsageShape::Null)),
        (
            "encoding=gzip",
            Behaviour {
                encoding: Some(Encoding::Gzip),
                ..plain()
            },
        ),
        (
            "encoding=deflate",
            Behaviour {
                encoding: Some(Encoding::Deflate),
                ..plain()
            },
        ),
        (
            "model=a/b=c",
            Behaviour {
                model: Some("a/b=c".to_owned()),
                ..plain()
            },
        ),
        (
            "prompt=5",
            Behaviour {
                prompt: Some(5),
                ..plain()
            },
        ),
        (
            "completion=0",
            Behaviour {
                completion: Some(0),
                ..plain()
            },
        ),
        (
            "tokens-per-event=3",
            Behaviour {
                tokens_per_event: NonZeroU64::new(3).unwrap(),
                ..plain()
            },
        ),
        (
            "words=100",
            Behaviour {
                words: Some(100),
                ..plain()
            },
        ),
        ("bom=yes", Behaviour { bom: true, ..plain() }),
        (
            "last-blank=no",
            Behaviour {
                last_blank: false,
                ..plain()
            },
        ),
        (
            " prompt = 5 ; bom=yes ;",
            Behaviour {
                prompt: Some(5),
                bom: true,
                ..plain()
            },
        ),
    ] {
        assert_eq!(read(list), wanted, "{list}");
    }
}

#[test]
fn values_that_make_no_sense_are_mistakes() {
    for list in [
        "status=99",
        "status=600",
        "status=101",
        "status=x",
        "body=some;status=400",
        "delay=100",
        "delay=ms",
        "delay=-1ms",
        "gap=1h",
        "chunk=0",
        "chunk=-1",
        "chunk=some",
        "cut=body",
        "cut=body:",
        "cut=event:x",
        "cut=event:-1",
        "hang=body:1",
        "error=headers",
        "end=body:1",
        "done=maybe",
        "eol=lfcr",
        "space=1",
        "comments=true",
        "usage=late",
        "encoding=br",
        "model=",
        "prompt=-1",
        "prompt=1.5",
        "completion=many",
        "tokens-per-event=0",
        "words=x",
        "bom=1",
        "last-blank=",
        "sleep=1ms",
        "Status=503",
        "status",
        "=",
        "body=none",
    ] {
        assert!(list.parse::<Behaviour>().is_err(), "{list}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    assert_eq!(
        told("sleep=1ms;chunk=0;prompt=1;prompt=2;cut=headers;hang=headers;status"),
        "x-sim: key `sleep` is unknown; value `0` of key `chunk` is not a number of bytes above 0 or all; key \
         `prompt` is given twice; keys `cut` and `hang` both say how the answer ends; `status` is not of the form \
         key=value"
    );
    assert_eq!(told("body=none"), "x-sim: key `body` needs key `status`");
    assert_eq!(told("status=1;body=none").matches(';').count(), 0);
}

#[test]
fn several_headers_are_one_list() {
    let mut headers = HeaderMap::new();
    assert_eq!(Behaviour::from_headers(&headers), Ok(None));
    headers.append(HEADER, "bom=yes".parse().unwrap());
    headers.append(HEADER, "prompt=5".parse().unwrap());
    assert_eq!(Behaviour::from_headers(&headers), Ok(Some(read("bom=yes;prompt=5"))));
    headers.append(HEADER, hyper::header::HeaderValue::from_bytes(b"model=\xff").unwrap());
    assert_eq!(Behaviour::from_headers(&headers), Err(BehaviourError::NotAscii.into()));
}
