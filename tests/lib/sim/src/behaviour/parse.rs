//! Parser of the header `x-sim` into a [`Behaviour`].

use std::str::FromStr;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::HeaderMap;

use super::{
    Behaviour, BehaviourError, BehaviourErrors, Chunking, Encoding, Eol, ResponseEnd, StatusBody, UsagePlacement,
};

const HEADER: &str = "x-sim";

impl Behaviour {
    /// Parses the `x-sim` headers of a request; `None` if there are none. Several count as one list, because HTTP allows
    /// a proxy to split and join them.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, BehaviourErrors> {
        let values = headers.get_all(HEADER).iter().map(|value| value.to_str());
        let Ok(values) = values.collect::<Result<Vec<_>, _>>() else {
            return Err(BehaviourError::NotAscii.into());
        };
        if values.is_empty() {
            return Ok(None);
        }
        Self::for_request(&values.join(";")).map(Some)
    }

    /// Parses a list that comes with one request.
    pub(crate) fn for_request(list: &str) -> Result<Self, BehaviourErrors> {
        let behaviour: Self = list.parse()?;
        match behaviour.needs_path() {
            Some(key) => Err(BehaviourError::NeedsPath(key).into()),
            None => Ok(behaviour),
        }
    }
}

impl FromStr for Behaviour {
    type Err = BehaviourErrors;

    fn from_str(list: &str) -> Result<Self, BehaviourErrors> {
        let mut parser = Parser::default();
        for part in list.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            if let Err(error) = parser.part(part) {
                parser.errors.push(error);
            }
        }
        let Parser {
            behaviour,
            mut errors,
            seen,
            end_key: _,
        } = parser;
        if behaviour.body != StatusBody::Error && behaviour.status.is_none() && !seen.iter().any(|key| key == "status")
        {
            errors.push(BehaviourError::BodyWithoutStatus);
        }
        if errors.is_empty() {
            Ok(behaviour)
        } else {
            Err(BehaviourErrors(errors))
        }
    }
}

#[derive(Default)]
struct Parser {
    behaviour: Behaviour,
    seen: Vec<String>,
    /// The key that set [`Behaviour::end`].
    end_key: Option<&'static str>,
    errors: Vec<BehaviourError>,
}

// === impl Parser ===

impl Parser {
    fn part(&mut self, part: &str) -> Result<(), BehaviourError> {
        let (key, value) = part
            .split_once('=')
            .ok_or_else(|| BehaviourError::NotAPair(part.to_owned()))?;
        let (key, value) = (key.trim(), value.trim());
        if self.seen.iter().any(|seen| seen == key) {
            return Err(BehaviourError::Duplicate(key.to_owned()));
        }
        self.seen.push(key.to_owned());
        let to = &mut self.behaviour;
        match key {
            "status" => to.status = Some(take("status", value, "a status from 200 to 599", status)?),
            "body" => to.body = take("body", value, "none or garbage", status_body)?,
            "delay" => to.delay = take("delay", value, DURATION, duration)?,
            "gap" => to.gap = take("gap", value, DURATION, duration)?,
            "chunk" => to.chunking = take("chunk", value, "a number of bytes above 0, or all", chunking)?,
            "cut" => self.end("cut", value, "headers, body:N or event:N", |v| match v {
                "headers" => Some(ResponseEnd::CutHeaders),
                _ => counted(v, "body:")
                    .map(ResponseEnd::CutBody)
                    .or_else(|| counted(v, "event:").map(ResponseEnd::CutEvent)),
            })?,
            "hang" => self.end("hang", value, "headers or event:N", |v| match v {
                "headers" => Some(ResponseEnd::HangHeaders),
                _ => counted(v, "event:").map(ResponseEnd::HangEvent),
            })?,
            "error" => self.end("error", value, "event:N", |v| {
                counted(v, "event:").map(ResponseEnd::ErrorEvent)
            })?,
            "end" => self.end("end", value, "event:N", |v| {
                counted(v, "event:").map(ResponseEnd::EndEvent)
            })?,
            "done" => to.done = take("done", value, YES_NO, yes_no)?,
            "eol" => to.eol = take("eol", value, "crlf, cr or lf", eol)?,
            "space" => to.space = take("space", value, YES_NO, yes_no)?,
            "comments" => to.comments = take("comments", value, YES_NO, yes_no)?,
            "usage" => to.usage = take("usage", value, "early, repeat, none or null", usage)?,
            "encoding" => to.encoding = Some(take("encoding", value, "gzip or deflate", encoding)?),
            "model" => to.model = Some(take("model", value, "a name", name)?),
            "prompt" => to.prompt = Some(take("prompt", value, NUMBER, |v| v.parse().ok())?),
            "completion" => to.completion = Some(take("completion", value, NUMBER, |v| v.parse().ok())?),
            "tokens-per-event" => {
                to.tokens_per_event = take("tokens-per-event", value, "an integer above 0", |v| v.parse().ok())?;
            }
            "token-bytes" => to.token_bytes = Some(take("token-bytes", value, NUMBER, |v| v.parse().ok())?),
            "bom" => to.bom = take("bom", value, YES_NO, yes_no)?,
            "last-blank" => to.last_blank = take("last-blank", value, YES_NO, yes_no)?,
            "times" => to.times = Some(take("times", value, "an integer above 0", |v| v.parse().ok())?),
            "for" => to.duration = Some(take("for", value, DURATION, duration)?),
            _ => return Err(BehaviourError::UnknownKey(key.to_owned())),
        }
        Ok(())
    }

    fn end(
        &mut self,
        key: &'static str,
        value: &str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<ResponseEnd>,
    ) -> Result<(), BehaviourError> {
        let end = take(key, value, expected, read)?;
        if let Some(before) = self.end_key.replace(key) {
            return Err(BehaviourError::Conflict(before, key));
        }
        self.behaviour.end = end;
        Ok(())
    }
}

const DURATION: &str = "a duration like 250us, 100ms or 2s";
const NUMBER: &str = "an integer of 0 or more";
const YES_NO: &str = "yes or no";

fn take<T>(
    key: &'static str,
    value: &str,
    expected: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T, BehaviourError> {
    read(value).ok_or_else(|| BehaviourError::Value {
        key,
        value: value.to_owned(),
        expected,
    })
}

/// 1xx is not a final response.
fn status(value: &str) -> Option<StatusCode> {
    let code: u16 = value.parse().ok()?;
    (200..=599)
        .contains(&code)
        .then(|| StatusCode::from_u16(code).ok())
        .flatten()
}

fn status_body(value: &str) -> Option<StatusBody> {
    match value {
        "none" => Some(StatusBody::Empty),
        "garbage" => Some(StatusBody::Garbage),
        _ => None,
    }
}

fn duration(value: &str) -> Option<Duration> {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    match value.strip_prefix(digits)? {
        "us" => Some(Duration::from_micros(number)),
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => None,
    }
}

fn chunking(value: &str) -> Option<Chunking> {
    match value {
        "all" => Some(Chunking::Whole),
        _ => value.parse().ok().map(Chunking::Bytes),
    }
}

fn counted<T: FromStr>(value: &str, prefix: &str) -> Option<T> {
    value.strip_prefix(prefix)?.parse().ok()
}

fn yes_no(value: &str) -> Option<bool> {
    match value {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn eol(value: &str) -> Option<Eol> {
    match value {
        "lf" => Some(Eol::Lf),
        "crlf" => Some(Eol::CrLf),
        "cr" => Some(Eol::Cr),
        _ => None,
    }
}

fn usage(value: &str) -> Option<UsagePlacement> {
    match value {
        "early" => Some(UsagePlacement::Early),
        "repeat" => Some(UsagePlacement::Repeat),
        "none" => Some(UsagePlacement::Absent),
        "null" => Some(UsagePlacement::Null),
        _ => None,
    }
}

fn encoding(value: &str) -> Option<Encoding> {
    match value {
        "gzip" => Some(Encoding::Gzip),
        "deflate" => Some(Encoding::Deflate),
        _ => None,
    }
}

fn name(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests;
