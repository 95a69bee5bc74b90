//! Tests of the parser: every key, every kind of error.

use std::num::{NonZeroU64, NonZeroUsize};

use super::*;

fn parse(list: &str) -> Behaviour {
    list.parse().unwrap_or_else(|error| panic!("{list}: {error}"))
}

fn errors(list: &str) -> String {
    list.parse::<Behaviour>().unwrap_err().to_string()
}

#[test]
fn an_empty_list_is_the_default_behaviour() {
    for list in ["", " ", ";;", " ; "] {
        assert_eq!(parse(list), Behaviour::default());
    }
}

#[test]
fn every_key_is_parsed() {
    let plain = Behaviour::default;
    let ms = Duration::from_millis;
    let end = |end| Behaviour { end, ..plain() };
    let usage = |usage| Behaviour { usage, ..plain() };
    for (list, expected) in [
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
                body: StatusBody::Empty,
                ..plain()
            },
        ),
        (
            "status=200;body=garbage",
            Behaviour {
                status: StatusCode::from_u16(200).ok(),
                body: StatusBody::Garbage,
                ..plain()
            },
        ),
        (
            "times=3;for=2s",
            Behaviour {
                times: NonZeroU64::new(3),
                duration: Some(ms(2000)),
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
        ("cut=headers", end(ResponseEnd::CutHeaders)),
        ("cut=body:5", end(ResponseEnd::CutBody(5))),
        ("cut=event:5", end(ResponseEnd::CutEvent(5))),
        ("hang=headers", end(ResponseEnd::HangHeaders)),
        ("hang=event:5", end(ResponseEnd::HangEvent(5))),
        ("error=event:5", end(ResponseEnd::ErrorEvent(5))),
        ("end=event:0", end(ResponseEnd::EndEvent(0))),
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
        ("usage=early", usage(UsagePlacement::Early)),
        ("usage=repeat", usage(UsagePlacement::Repeat)),
        ("usage=none", usage(UsagePlacement::Absent)),
        ("usage=null", usage(UsagePlacement::Null)),
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
            "token-bytes=100",
            Behaviour {
                token_bytes: Some(100),
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
        assert_eq!(parse(list), expected, "{list}");
    }
}

#[test]
fn invalid_values_are_errors() {
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
        "token-bytes=x",
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
fn all_errors_are_reported_together() {
    assert_eq!(
        errors("sleep=1ms;chunk=0;prompt=1;prompt=2;cut=headers;hang=headers;status"),
        "x-sim: unknown key `sleep`; invalid value `0` of key `chunk`: expected a number of bytes above 0, or all; \
         duplicate key `prompt`; keys `cut` and `hang` exclude each other; `status` is not of the form key=value"
    );
    assert_eq!(errors("body=none"), "x-sim: key `body` requires key `status`");
    assert_eq!(errors("status=1;body=none").matches(';').count(), 0);
}

#[test]
fn several_headers_count_as_one_list() {
    let mut headers = HeaderMap::new();
    assert_eq!(Behaviour::from_headers(&headers), Ok(None));
    headers.append(HEADER, "bom=yes".parse().unwrap());
    headers.append(HEADER, "prompt=5".parse().unwrap());
    assert_eq!(Behaviour::from_headers(&headers), Ok(Some(parse("bom=yes;prompt=5"))));
    headers.append(HEADER, hyper::header::HeaderValue::from_bytes(b"model=\xff").unwrap());
    assert_eq!(Behaviour::from_headers(&headers), Err(BehaviourError::NotAscii.into()));
}
