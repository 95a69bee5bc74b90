//! [`Sample`], one line of a page, and its grammar.
//!
//! The formats differ in blanks between tokens (any number, or exactly one where OpenMetrics requires it), in timestamps,
//! and in exemplars, which only OpenMetrics has.

use nom::bytes::complete::{tag, take_while1};
use nom::combinator::{eof, map_opt, opt, verify};
use nom::error::context;
use nom::sequence::{preceded, terminated};
use nom::{Finish, Parser};

use super::grammar::{Mismatch, Parsed, blanks};
use super::labels::{self, Braces, Labels};
use super::number;
use crate::exposition::format::Format;

/// A sample. Its timestamp and its exemplar are parsed and dropped.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The metric name with all suffixes. A quoted name is what is between the quotes, with its escapes.
    pub name: &'a str,
    /// The labels.
    pub labels: Labels<'a>,
    /// The value, which may be NaN or infinite.
    pub value: f64,
}

/// Parses a line that begins with the metric `name`; `text` is the rest of the line.
pub(super) fn plain<'a>(format: Format, name: &'a str, text: &'a str) -> Result<Sample<'a>, Mismatch<'a>> {
    let labels = preceded(blanks(format), |text| opt_braces(format, text));
    let (_, (labels, value)) = (labels, rest(format)).parse(text).finish()?;
    Ok(Sample { name, labels, value })
}

/// Parses a line that begins with a brace: the name is quoted, among the labels.
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

/// Parses what follows the labels, to the end of the line.
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

/// Parses ` # {labels} value timestamp`, which only OpenMetrics has.
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
                // What begins like an exemplar must be one.
                nom::Err::Error(mismatch) => nom::Err::Failure(mismatch),
                other => other,
            })
    }
}

fn word(text: &str) -> Parsed<'_, &str> {
    take_while1(|character| !matches!(character, ' ' | '\t' | '{')).parse(text)
}

/// Parses what separates labels, value and timestamp.
fn gap<'a>(format: Format) -> impl Parser<&'a str, Output = (), Error = Mismatch<'a>> {
    move |text: &'a str| match format {
        Format::Text => blanks(format)(text),
        Format::OpenMetrics => context("a blank and a number", tag(" ")).map(drop).parse(text),
    }
}
