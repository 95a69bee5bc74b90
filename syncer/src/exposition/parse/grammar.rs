//! What the grammars of labels and of samples share: the error [`Mismatch`] and the blanks of each format.

use nom::IResult;
use nom::error::{ContextError, ErrorKind};

use crate::exposition::format::Format;

/// Where a line is invalid, and what the grammar expects there.
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
    /// Keeps the innermost context, which is the most precise.
    fn add_context(_: &'a str, expected: &'static str, other: Self) -> Self {
        if other.expected.is_empty() {
            Self { expected, ..other }
        } else {
            other
        }
    }
}

/// Blanks that are allowed between any two tokens: any number in the text format, none in OpenMetrics.
pub(super) fn blanks<'a>(format: Format) -> impl Fn(&'a str) -> Parsed<'a, ()> {
    move |text| match format {
        Format::Text => Ok((text.trim_start_matches([' ', '\t']), ())),
        Format::OpenMetrics => Ok((text, ())),
    }
}
