//! Parses the samples of a page, in the text format 0.0.4 or in OpenMetrics, as tolerantly as Prometheus' scraper.
//!
//! This file owns lines and their numbers, `sample` the grammar of a line. A line whose name is not wanted is skipped, and
//! so are comments, `HELP`, `TYPE` and `UNIT`: errors after their names go unnoticed. Invariant: Prometheus accepts every
//! sample that is returned, with the same name, labels and value. An OpenMetrics page without `# EOF` at its end is
//! truncated, which is an error.
//!
//! It differs from Prometheus in three points. A line feed within a label value must be escaped, as both specifications
//! require; otherwise lines could not be skipped. Blanks before a name are ignored, as the specification of the text
//! format says (Prometheus 2 rejects them, 3 makes them part of the name). Duplicate labels are kept.
//!
//! Grammar: `model/textparse/{promlex.l,openmetricslex.l}` of Prometheus, <https://prometheus.io/docs/instrumenting/exposition_formats/>
//! and <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

mod grammar;
mod labels;
mod number;
mod sample;

use std::fmt::Write;

use memchr::memchr;

use super::format::Format;
use grammar::Mismatch;
pub use labels::Labels;
pub use sample::Sample;

/// Characters of a line that an error quotes: enough to find the position, few enough for a log line.
const MAX_QUOTE: usize = 40;

/// Why a page is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected {expected}, found {found}")]
pub struct ParseError {
    line: usize,
    expected: &'static str,
    found: String,
}

// === impl ParseError ===

impl ParseError {
    fn new(line: usize, expected: &'static str, at: &[u8]) -> Self {
        let mut found = String::new();
        if at.is_empty() {
            found.push_str("the end of the line");
        } else {
            // A character has up to four bytes.
            let start = at.get(..MAX_QUOTE * 4).unwrap_or(at);
            let text = String::from_utf8_lossy(start);
            found.push('`');
            for character in text.chars().take(MAX_QUOTE) {
                if character == '`' || character == '"' || character == '\'' {
                    found.push(character);
                } else {
                    _ = write!(found, "{}", character.escape_debug());
                }
            }
            found.push_str(if text.chars().count() > MAX_QUOTE { "`…" } else { "`" });
        }
        Self { line, expected, found }
    }

    /// The line number, from 1.
    pub fn line(&self) -> usize {
        self.line
    }
}

/// Calls `each` with every sample of a page whose name is `wanted`, up to the first error.
///
/// The page may come in several pieces, each of whole lines: a large one is not held in one buffer. `wanted` is called once
/// for consecutive lines of the same name.
///
/// # Errors
/// At a line that Prometheus would reject, as far as the line was read.
pub fn parse<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    format: Format,
    mut wanted: impl FnMut(&'a str) -> bool,
    mut each: impl FnMut(Sample<'a>),
) -> Result<(), ParseError> {
    let mut number = 0;
    // The name of the last line, and whether it is wanted.
    let mut run = ("", false);
    // Whether the last line was `# EOF`.
    let mut ended = false;
    for piece in pieces {
        let mut rest = piece;
        while !rest.is_empty() {
            number += 1;
            if ended {
                return Err(ParseError::new(number, "nothing after `# EOF`", split_line(rest).0));
            }
            let error = |Mismatch { at, expected }: Mismatch<'_>| ParseError::new(number, expected, at.as_bytes());
            let start = match format {
                Format::Text => skip_blanks(rest),
                Format::OpenMetrics => rest,
            };
            match start.first() {
                Some(b'#') => {
                    let (line, after) = split_line(start);
                    rest = after;
                    ended = format == Format::OpenMetrics && line == b"# EOF";
                }
                Some(b'{') => {
                    let (line, after) = split_line(start);
                    rest = after;
                    let sample = sample::quoted(format, utf8(number, line)?).map_err(error)?;
                    if wanted(sample.name) {
                        each(sample);
                    }
                }
                Some(b'\n') if format == Format::Text => rest = start.get(1..).unwrap_or_default(),
                None => break,
                Some(_) => {
                    if !begins_with(start, run.0) {
                        let name = name(start);
                        if name.is_empty() {
                            return Err(ParseError::new(number, "a metric's name", split_line(start).0));
                        }
                        let name = utf8(number, name)?;
                        run = (name, wanted(name));
                    }
                    let (name, is_wanted) = run;
                    let (line, after) = split_line(start.get(name.len()..).unwrap_or_default());
                    rest = after;
                    if is_wanted {
                        each(sample::plain(format, name, utf8(number, line)?).map_err(error)?);
                    }
                }
            }
        }
    }
    if format == Format::OpenMetrics && !ended {
        return Err(ParseError::new(number + 1, "`# EOF`", b""));
    }
    Ok(())
}

/// Whether `line` begins with exactly this name.
fn begins_with(line: &[u8], name: &str) -> bool {
    !name.is_empty()
        && line
            .strip_prefix(name.as_bytes())
            .is_some_and(|rest| !rest.first().is_some_and(in_name))
}

/// The name at the beginning of `line`; empty if there is none.
fn name(line: &[u8]) -> &[u8] {
    if line.first().is_some_and(u8::is_ascii_digit) {
        return &[];
    }
    let end = line.iter().position(|byte| !in_name(byte));
    line.get(..end.unwrap_or(line.len())).unwrap_or_default()
}

fn in_name(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':')
}

/// The first line without its line feed, and the rest.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b'\n', text).and_then(|end| text.split_at_checked(end)) {
        Some((line, after)) => (line, after.get(1..).unwrap_or_default()),
        None => (text, &[]),
    }
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let [b' ' | b'\t', after @ ..] = rest {
        rest = after;
    }
    rest
}

fn utf8(number: usize, text: &[u8]) -> Result<&str, ParseError> {
    str::from_utf8(text).map_err(|error| {
        let invalid = text.get(error.valid_up_to()..).unwrap_or_default();
        ParseError::new(number, "UTF-8", invalid)
    })
}

#[cfg(test)]
mod tests;
