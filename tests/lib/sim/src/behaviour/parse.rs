//! Owns the reading of the header `x-sim` into a [`Behaviour`].

use std::str::FromStr;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::HeaderMap;

use super::{AskedBody, Behaviour, BehaviourError, BehaviourErrors, Chunking, Encoding, Ending, Eol, UsageShape};

/// The header that says what a request wants of the simulator.
pub(crate) const HEADER: &str = "x-sim";

impl Behaviour {
    /// Reads the headers of a request. Several `x-sim` headers count as one list, as HTTP allows a proxy to split and
    /// join them. `None` if there is none.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, BehaviourErrors> {
        let values = headers.get_all(HEADER).iter().map(|value| value.to_str());
        let Ok(values) = values.collect::<Result<Vec<_>, _>>() else {
            return Err(BehaviourError::NotAscii.into());
        };
        if values.is_empty() {
            return Ok(None);
        }
        Self::of_one_request(&values.join(";")).map(Some)
    }

    /// Reads a list that comes with each request it is for.
    pub(crate) fn of_one_request(list: &str) -> Result<Self, BehaviourErrors> {
        let behaviour: Self = list.parse()?;
        match behaviour.needs_standing() {
            Some(key) => Err(BehaviourError::NeedsStanding(key).into()),
            None => Ok(behaviour),
        }
    }
}

impl FromStr for Behaviour {
    type Err = BehaviourErrors;

    fn from_str(list: &str) -> Result<Self, BehaviourErrors> {
        let mut reading = Reading::default();
        for part in list.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            if let Err(mistake) = reading.part(part) {
                reading.mistakes.push(mistake);
            }
        }
        let Reading {
            behaviour,
            mut mistakes,
            seen,
            ending: _,
        } = reading;
        if behaviour.body != AskedBody::Error && behaviour.status.is_none() && !seen.iter().any(|key| key == "status") {
            mistakes.push(BehaviourError::BodyWithoutStatus);
        }
        if mistakes.is_empty() {
            Ok(behaviour)
        } else {
            Err(BehaviourErrors(mistakes))
        }
    }
}

#[derive(Default)]
struct Reading {
    behaviour: Behaviour,
    seen: Vec<String>,
    ending: Option<&'static str>,
    mistakes: Vec<BehaviourError>,
}

// === impl Reading ===

impl Reading {
    fn part(&mut self, part: &str) -> Result<(), BehaviourError> {
        let (key, value) = part
            .split_once('=')
            .ok_or_else(|| BehaviourError::NotAPair(part.to_owned()))?;
        let (key, value) = (key.trim(), value.trim());
        if self.seen.iter().any(|seen| seen == key) {
            return Err(BehaviourError::Twice(key.to_owned()));
        }
        self.seen.push(key.to_owned());
        let to = &mut self.behaviour;
        match key {
            "status" => to.status = Some(take("status", value, "a status from 200 to 599", status)?),
            "body" => to.body = take("body", value, "none or garbage", asked_body)?,
            "delay" => to.delay = take("delay", value, DURATION, duration)?,
            "gap" => to.gap = take("gap", value, DURATION, duration)?,
            "chunk" => to.chunking = take("chunk", value, "a number of bytes above 0 or all", chunking)?,
            "cut" => self.end("cut", value, "headers, body:N or event:N", |v| match v {
                "headers" => Some(Ending::CutHeaders),
                _ => counted(v, "body:")
                    .map(Ending::CutBody)
                    .or_else(|| counted(v, "event:").map(Ending::CutEvent)),
            })?,
            "hang" => self.end("hang", value, "headers or event:N", |v| match v {
                "headers" => Some(Ending::HangHeaders),
                _ => counted(v, "event:").map(Ending::HangEvent),
            })?,
            "error" => self.end("error", value, "event:N", |v| {
                counted(v, "event:").map(Ending::ErrorEvent)
            })?,
            "end" => self.end("end", value, "event:N", |v| counted(v, "event:").map(Ending::EndEvent))?,
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
                to.tokens_per_event = take("tokens-per-event", value, "a number above 0", |v| v.parse().ok())?;
            }
            "words" => to.words = Some(take("words", value, NUMBER, |v| v.parse().ok())?),
            "bom" => to.bom = take("bom", value, YES_NO, yes_no)?,
            "last-blank" => to.last_blank = take("last-blank", value, YES_NO, yes_no)?,
            "times" => to.times = Some(take("times", value, "a number above 0", |v| v.parse().ok())?),
            "for" => to.lasts = Some(take("for", value, DURATION, duration)?),
            _ => return Err(BehaviourError::UnknownKey(key.to_owned())),
        }
        Ok(())
    }

    fn end(
        &mut self,
        key: &'static str,
        value: &str,
        wanted: &'static str,
        read: impl FnOnce(&str) -> Option<Ending>,
    ) -> Result<(), BehaviourError> {
        let ending = take(key, value, wanted, read)?;
        if let Some(before) = self.ending.replace(key) {
            return Err(BehaviourError::TwoEndings(before, key));
        }
        self.behaviour.ending = ending;
        Ok(())
    }
}

const DURATION: &str = "a time like 250us, 100ms or 2s";
const NUMBER: &str = "a whole number";
const YES_NO: &str = "yes or no";

fn take<T>(
    key: &'static str,
    value: &str,
    wanted: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T, BehaviourError> {
    read(value).ok_or_else(|| BehaviourError::Value {
        key,
        value: value.to_owned(),
        wanted,
    })
}

/// 1xx is no final answer, so it is refused.
fn status(value: &str) -> Option<StatusCode> {
    let code: u16 = value.parse().ok()?;
    (200..=599)
        .contains(&code)
        .then(|| StatusCode::from_u16(code).ok())
        .flatten()
}

fn asked_body(value: &str) -> Option<AskedBody> {
    match value {
        "none" => Some(AskedBody::Empty),
        "garbage" => Some(AskedBody::Garbage),
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

fn usage(value: &str) -> Option<UsageShape> {
    match value {
        "early" => Some(UsageShape::Early),
        "repeat" => Some(UsageShape::Repeat),
        "none" => Some(UsageShape::Absent),
        "null" => Some(UsageShape::Null),
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
