//! The grammar of one sample's line, with nom. It knows neither lines nor pages.
//!
//! The formats differ in blanks (any number of them, or none at all, against exactly one), in timestamps, and in
//! exemplars, which only OpenMetrics has.

use nom::bytes::complete::{tag, take_while1};
use nom::combinator::{eof, map_opt, opt, verify};
use nom::error::{ContextError, ErrorKind, context};
use nom::sequence::{preceded, terminated};
use nom::{Finish, IResult, Parser};

use super::labels::{self, Braces};
use super::{Format, Labels, Sample, number};

/// Where a line is wrong, and what should stand there.
#[derive(Debug)]
pub(super) struct Mismatch<'a> {
    pub(super) at: &'a str,
    pub(super) expected: &'static str,
}

pub(super) type Parsed<'a, T> = IResult<&'a str, T, Mismatch<'a>>;

// === impl Mismatch ===

impl<'a> Mismatch<'a> {
    pub(super) fn fail<T>(at: &'a str, expected: &'static str) -> Parsed<'a, T> {
        Err(nom::Err::Error(Self { at, expected }))
    }
}

impl<'a> nom::error::ParseError<&'a str> for Mismatch<'a> {
    fn from_error_kind(at: &'a str, _: ErrorKind) -> Self {
        Self { at, expected: "" }
    }

    fn append(_: &'a str, _: ErrorKind, other: Self) -> Self {
        other
    }
}

impl<'a> ContextError<&'a str> for Mismatch<'a> {
    /// The innermost context says it best.
    fn add_context(_: &'a str, expected: &'static str, other: Self) -> Self {
        if other.expected.is_empty() {
            Self { expected, ..other }
        } else {
            other
        }
    }
}

/// A line that begins with its metric's `name`; `text` is what follows that.
pub(super) fn plain<'a>(format: Format, name: &'a str, text: &'a str) -> Result<Sample<'a>, Mismatch<'a>> {
    let labels = preceded(blanks(format), |text| opt_braces(format, text));
    let (_, (labels, value)) = (labels, rest(format)).parse(text).finish()?;
    Ok(Sample { name, labels, value })
}

/// A line that begins with a brace: its name stands in quotes among the labels, as names beyond ASCII do.
pub(super) fn quoted<'a>(format: Format, text: &'a str) -> Result<Sample<'a>, Mismatch<'a>> {
    let named = |text| {
        let (text, braces) = preceded(tag("{"), labels::braces(format, true)).parse(text)?;
        match braces.name {
            Some(name) => Ok((text, (name, braces.labels))),
            None => Mismatch::fail(text, "a metric's name before or in the braces"),
        }
    };
    let (_, ((name, labels), value)) = (named, rest(format)).parse(text).finish()?;
    Ok(Sample { name, labels, value })
}

fn opt_braces(format: Format, text: &str) -> Parsed<'_, Labels<'_>> {
    match text.strip_prefix('{') {
        Some(inside) => labels::braces(format, false)
            .map(|Braces { labels, name: _ }| labels)
            .parse(inside),
        None => Ok((text, Labels::none(format))),
    }
}

/// What follows the labels, up to the end of the line.
fn rest<'a>(format: Format) -> impl Parser<&'a str, Output = f64, Error = Mismatch<'a>> {
    terminated(
        preceded(gap(format), value),
        (
            opt(timestamp(format)),
            opt(exemplar(format)),
            blanks(format),
            context("a timestamp or the end of the line", eof),
        ),
    )
}

fn value(text: &str) -> Parsed<'_, f64> {
    context("a number", map_opt(word, number::float)).parse(text)
}

fn timestamp<'a>(format: Format) -> impl Parser<&'a str, Output = (), Error = Mismatch<'a>> {
    let is_time = match format {
        Format::Text => number::is_milliseconds,
        Format::OpenMetrics => number::is_seconds,
    };
    preceded(gap(format), verify(word, is_time)).map(drop)
}

/// ` # {labels} value timestamp`, of OpenMetrics alone.
fn exemplar<'a>(format: Format) -> impl Parser<&'a str, Output = (), Error = Mismatch<'a>> {
    move |text: &'a str| {
        let Some(inside) = text.strip_prefix(" # {").filter(|_| format == Format::OpenMetrics) else {
            return Mismatch::fail(text, "an exemplar");
        };
        (
            labels::braces(format, false),
            gap(format),
            value,
            opt(timestamp(format)),
        )
            .map(drop)
            .parse(inside)
            .map_err(|error| match error {
                // What begins as an exemplar has to be one.
                nom::Err::Error(mismatch) => nom::Err::Failure(mismatch),
                other => other,
            })
    }
}

fn word(text: &str) -> Parsed<'_, &str> {
    take_while1(|character| !matches!(character, ' ' | '\t' | '{')).parse(text)
}

/// Between the parts of a line.
fn gap<'a>(format: Format) -> impl Parser<&'a str, Output = (), Error = Mismatch<'a>> {
    move |text: &'a str| match format {
        Format::Text => blanks(format)(text),
        Format::OpenMetrics => context("a blank and a number", tag(" ")).map(drop).parse(text),
    }
}

/// Blanks that may be there.
pub(super) fn blanks<'a>(format: Format) -> impl Fn(&'a str) -> Parsed<'a, ()> {
    move |text| match format {
        Format::Text => Ok((text.trim_start_matches([' ', '\t']), ())),
        Format::OpenMetrics => Ok((text, ())),
    }
}
