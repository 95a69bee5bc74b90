//! Reads a page of samples, in the text format 0.0.4 or in OpenMetrics, as tolerant as Prometheus' own scraper.
//!
//! It owns lines and their numbers; `sample` owns what stands in one. A line whose name is not wanted is skipped up to
//! its end, so what is wrong behind its name goes unseen; so are comments, `HELP`, `TYPE` and `UNIT`. Invariant: a sample
//! that is handed on is one that Prometheus would take, with the same name, labels and value. In OpenMetrics a page that
//! does not end with `# EOF` was cut off, and is an error.
//!
//! It differs from Prometheus in three points. A line feed inside of a label's value has to be escaped, as the
//! specifications ask: lines could not be skipped by their name otherwise. Blanks before a name are ignored, as the
//! specification of the text format says (Prometheus 2 refuses them, 3 takes them for a part of the name). A label that
//! is given twice is handed on twice.
//!
//! Grammar: `model/textparse/{promlex.l,openmetricslex.l}` of Prometheus, <https://prometheus.io/docs/instrumenting/exposition_formats/>
//! and <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

mod labels;
mod number;
mod sample;

use std::fmt::Write;

use memchr::memchr;

use super::Format;
pub use labels::Labels;
use sample::Mismatch;

/// Characters of a line that an error quotes: enough to find the place, too few to flood a log.
const MAX_QUOTE: usize = 40;

/// One line of a page. Its exemplar and its timestamp were read and dropped.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The metric's name with all its suffixes; of a name in quotes, what stands between them.
    pub name: &'a str,
    /// Its labels.
    pub labels: Labels<'a>,
    /// NaN and the infinities are as good as other numbers here.
    pub value: f64,
}

/// What is wrong with a page.
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
            // Four bytes are the longest character.
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

    /// The line's number, from 1.
    pub fn line(&self) -> usize {
        self.line
    }
}

/// Reads every sample of `page` whose name is `wanted`.
///
/// `wanted` is asked once for a run of lines of the same name. Samples that stand before an error have been handed to
/// `each` when the error comes back.
///
/// # Errors
/// A line that Prometheus would refuse, as far as it was read.
pub fn parse<'a>(
    page: &'a [u8],
    format: Format,
    mut wanted: impl FnMut(&'a str) -> bool,
    mut each: impl FnMut(Sample<'a>),
) -> Result<(), ParseError> {
    let mut rest = page;
    let mut number = 0;
    // The name of the lines at hand, and whether it is wanted.
    let mut run = ("", false);
    while !rest.is_empty() {
        number += 1;
        let error = |Mismatch { at, expected }: Mismatch<'_>| ParseError::new(number, expected, at.as_bytes());
        let start = match format {
            Format::Text => skip_blanks(rest),
            Format::OpenMetrics => rest,
        };
        match start.first() {
            Some(b'#') => {
                let (line, after) = split_line(start);
                rest = after;
                if format == Format::OpenMetrics && line == b"# EOF" {
                    return match rest {
                        [] => Ok(()),
                        more => Err(ParseError::new(number + 1, "nothing after `# EOF`", more)),
                    };
                }
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
    match format {
        Format::Text => Ok(()),
        Format::OpenMetrics => Err(ParseError::new(number + 1, "`# EOF`", b"")),
    }
}

/// Whether the name that `line` begins with is this one.
fn begins_with(line: &[u8], name: &str) -> bool {
    !name.is_empty()
        && line
            .strip_prefix(name.as_bytes())
            .is_some_and(|rest| !rest.first().is_some_and(in_name))
}

/// The name that `line` begins with; empty when it begins with none.
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

/// The line without its line feed, and what stands after that.
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
        let bad = text.get(error.valid_up_to()..).unwrap_or_default();
        ParseError::new(number, "UTF-8", bad)
    })
}

#[cfg(test)]
mod tests;
