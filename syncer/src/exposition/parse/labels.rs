//! [`Labels`], the content of a sample's braces: labels, and the metric's name if it is quoted.
//!
//! Braces are parsed once to find their end and again by each iteration over the labels, so that a sample allocates
//! nothing. Invariant: an iteration accepts what the first parse accepted.

use std::borrow::Cow;

use memchr::{memchr, memchr2};
use nom::Parser;
use nom::bytes::complete::{take_while, take_while1};
use nom::combinator::recognize;
use nom::error::context;

use super::grammar::{Mismatch, Parsed, blanks};
use crate::exposition::format::Format;

/// The labels of a sample, in the page's order. Duplicate names are kept.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    inside: &'a str,
    format: Format,
}

/// The content of braces.
pub(super) struct Braces<'a> {
    pub(super) labels: Labels<'a>,
    pub(super) name: Option<&'a str>,
}

#[derive(Clone, Copy)]
enum Item<'a> {
    /// The metric's name.
    Name(&'a str),
    /// A label; the value is still escaped.
    Label(&'a str, &'a str),
}

// === impl Labels ===

impl<'a> Labels<'a> {
    pub(super) fn none(format: Format) -> Self {
        Self { inside: "", format }
    }

    /// Names and unescaped values. A quoted name is what is between the quotes, with its escapes.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a> {
        let Self { mut inside, format } = *self;
        std::iter::from_fn(move || {
            loop {
                let (rest, ()) = blanks(format)(inside).ok()?;
                let (rest, ()) = blanks(format)(rest.strip_prefix(',').unwrap_or(rest)).ok()?;
                let (rest, item) = item(format)(rest).ok()?;
                inside = rest;
                if let Item::Label(name, value) = item {
                    return Some((name, unescape(value)));
                }
            }
        })
    }

    /// The value of the first label of this name.
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.iter().find_map(|(label, value)| (label == name).then_some(value))
    }
}

/// Parses what follows an opening brace, including the closing one. `may_name` allows the metric's name among the labels.
pub(super) fn braces<'a>(
    format: Format,
    may_name: bool,
) -> impl Parser<&'a str, Output = Braces<'a>, Error = Mismatch<'a>> {
    move |text: &'a str| {
        let mut name = None;
        let mut rest = text;
        loop {
            (rest, ()) = blanks(format)(rest)?;
            if let Some(after) = rest.strip_prefix('}') {
                let inside = text.get(..text.len() - rest.len()).unwrap_or_default();
                return Ok((
                    after,
                    Braces {
                        labels: Labels { inside, format },
                        name,
                    },
                ));
            }
            let (after, item) = item(format)(rest)?;
            let (after, ()) = blanks(format)(after)?;
            let closes = after.starts_with('}');
            match item {
                Item::Name(_) if !may_name || name.is_some() => return Mismatch::fail(after, "`=`"),
                Item::Name(text) => name = Some(text),
                Item::Label(..) => {}
            }
            rest = match (after.strip_prefix(','), format, item) {
                (Some(after), ..) => after,
                (None, ..) if closes => after,
                // The text format does not require commas between labels.
                (None, Format::Text, Item::Label(..)) => after,
                (None, ..) => return Mismatch::fail(after, "`,` or `}`"),
            };
        }
    }
}

fn item<'a>(format: Format) -> impl Fn(&'a str) -> Parsed<'a, Item<'a>> {
    move |text| {
        let in_quotes = text.starts_with('"');
        let (rest, name) = if in_quotes {
            string(text)?
        } else {
            context("a label's name", name).parse(text)?
        };
        let (rest, ()) = blanks(format)(rest)?;
        if in_quotes && rest.starts_with([',', '}']) {
            return Ok((rest, Item::Name(name)));
        }
        let Some(rest) = rest.strip_prefix('=') else {
            return Mismatch::fail(rest, "`=`");
        };
        let (rest, ()) = blanks(format)(rest)?;
        let (rest, value) = context("a value in quotes", string).parse(rest)?;
        Ok((rest, Item::Label(name, value)))
    }
}

fn name(text: &str) -> Parsed<'_, &str> {
    let first = take_while1(|character: char| character.is_ascii_alphabetic() || character == '_');
    let others = take_while(|character: char| character.is_ascii_alphanumeric() || character == '_');
    recognize((first, others)).parse(text)
}

/// Parses a quoted string and returns what is between the quotes, with its escapes.
fn string(text: &str) -> Parsed<'_, &str> {
    let Some(inside) = text.strip_prefix('"') else {
        return Mismatch::fail(text, "");
    };
    let mut rest = inside;
    while let Some((_, mark)) = memchr2(b'"', b'\\', rest.as_bytes()).and_then(|at| rest.split_at_checked(at)) {
        if let Some(after) = mark.strip_prefix('"') {
            let length = inside.len() - mark.len();
            return Ok((after, inside.get(..length).unwrap_or_default()));
        }
        // Skips the backslash and the character that it escapes.
        let mut characters = mark.chars();
        _ = characters.nth(1);
        rest = characters.as_str();
    }
    Mismatch::fail(text, "a closing quote in the same line")
}

/// Resolves the three escapes `\n`, `\\` and `\"`. Any other is kept, including its backslash.
fn unescape(text: &str) -> Cow<'_, str> {
    let Some(first) = memchr(b'\\', text.as_bytes()) else {
        return Cow::Borrowed(text);
    };
    let (before, mut rest) = text.split_at_checked(first).unwrap_or((text, ""));
    let mut unescaped = String::with_capacity(text.len());
    unescaped.push_str(before);
    while let Some(character) = rest.chars().next() {
        let (piece, length) = match rest.as_bytes() {
            [b'\\', b'n', ..] => ('\n', 2),
            [b'\\', b'\\', ..] => ('\\', 2),
            [b'\\', b'"', ..] => ('"', 2),
            _ => (character, character.len_utf8()),
        };
        unescaped.push(piece);
        rest = rest.get(length..).unwrap_or_default();
    }
    Cow::Owned(unescaped)
}
