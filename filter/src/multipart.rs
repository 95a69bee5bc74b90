//! An incremental parser of `multipart/form-data` (RFC 7578) that finds the value of one field.
//!
//! It keeps no body: only the boundary, the current header line and the value of the wanted field, each with a bound. The
//! boundary is read from the first delimiter line, so no header is needed. Invariant: the value does not depend on the
//! chunk boundaries.

use memchr::memchr;

use crate::json::MAX_TEXT;

/// RFC 2046 allows 70 bytes, and two dashes precede it. A form with a longer one is not read.
const MAX_BOUNDARY: usize = 256;
/// A longer header line is truncated. Only file names make a `content-disposition` long, and clients write `name` first.
const MAX_LINE: usize = 1024;
/// Precedes every delimiter but the first.
const LINE_END: &[u8] = b"\r\n";

/// The parser of one form.
#[derive(Debug)]
pub(crate) struct Parser {
    field: &'static [u8],
    state: State,
    /// The delimiter line without its line end: two dashes and the boundary.
    delimiter: Vec<u8>,
    /// The current line of the preamble or of a part's header.
    line: Vec<u8>,
    /// The current part is the wanted field.
    is_wanted: bool,
    /// Of the current part, if it is wanted.
    value: Vec<u8>,
    /// Of the last complete part that is wanted.
    found: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the end of the first delimiter line.
    Preamble,
    /// In a line of a part's header.
    Header,
    /// In the content of a part.
    Content {
        /// Number of bytes that match [`LINE_END`] and the delimiter.
        matched: usize,
        /// How many of these belong to the empty line after the header: with no content, that line end is the delimiter's.
        borrowed: usize,
    },
    /// After a delimiter: a second dash after the first one ends the form.
    AfterDelimiter { dash: bool },
    /// After the last delimiter, or not a form.
    End,
}

// === impl Parser ===

impl Parser {
    pub(crate) fn new(field: &'static str) -> Self {
        Self {
            field: field.as_bytes(),
            state: State::Preamble,
            delimiter: Vec::new(),
            line: Vec::new(),
            is_wanted: false,
            value: Vec::new(),
            found: None,
        }
    }

    /// Whether further bytes can change the value.
    pub(crate) fn wants_more(&self) -> bool {
        self.state != State::End
    }

    /// The value of the last complete field of the wanted name, truncated to [`MAX_TEXT`] bytes.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        self.found.as_deref()
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            match self.state {
                State::End => return,
                State::Preamble | State::Header => {
                    let end = memchr(b'\n', rest);
                    let (part, left) = rest.split_at(end.unwrap_or(rest.len()));
                    push(&mut self.line, part, MAX_LINE);
                    if end.is_some() {
                        self.end_line();
                    }
                    // Without the line feed.
                    rest = left.get(1..).unwrap_or_default();
                }
                State::Content { matched: 0, .. } if byte != b'\r' => {
                    let (content, left) = rest.split_at(memchr(b'\r', rest).unwrap_or(rest.len()));
                    self.push_value(content);
                    rest = left;
                }
                State::Content { matched, borrowed } => {
                    if self.expected(matched) == Some(byte) {
                        self.state = if matched + 1 == LINE_END.len() + self.delimiter.len() {
                            State::AfterDelimiter { dash: false }
                        } else {
                            let matched = matched + 1;
                            State::Content { matched, borrowed }
                        };
                        rest = after;
                    } else {
                        // The byte itself may start a delimiter.
                        self.resume_content(matched, borrowed);
                    }
                }
                State::AfterDelimiter { dash } => match byte {
                    b'-' if dash => {
                        self.end_part();
                        self.state = State::End;
                    }
                    b'-' => {
                        self.state = State::AfterDelimiter { dash: true };
                        rest = after;
                    }
                    b'\n' if !dash => {
                        self.end_part();
                        self.state = State::Header;
                        rest = after;
                    }
                    b' ' | b'\t' | b'\r' if !dash => rest = after,
                    // The boundary is only the start of a longer text.
                    _ => {
                        self.resume_content(LINE_END.len() + self.delimiter.len(), 0);
                        if dash {
                            self.push_value(b"-");
                        }
                    }
                },
            }
        }
    }

    fn end_line(&mut self) {
        let line = self.line.trim_ascii_end();
        match self.state {
            State::Preamble if line.starts_with(b"--") && line.len() > MAX_BOUNDARY => self.state = State::End,
            State::Preamble if line.starts_with(b"--") && line.len() > 2 => {
                self.delimiter = line.to_vec();
                self.state = State::Header;
            }
            State::Header if line.is_empty() => {
                let matched = LINE_END.len();
                self.state = State::Content {
                    matched,
                    borrowed: matched,
                };
            }
            State::Header => self.is_wanted |= names(line, self.field),
            _ => {}
        }
        self.line.clear();
    }

    /// The byte at this position of a line end and the delimiter.
    fn expected(&self, position: usize) -> Option<u8> {
        LINE_END.iter().chain(&self.delimiter).nth(position).copied()
    }

    /// Continues with content after bytes that looked like a delimiter.
    fn resume_content(&mut self, matched: usize, borrowed: usize) {
        if self.is_wanted {
            let (value, delimiter) = (&mut self.value, &self.delimiter);
            for byte in LINE_END.iter().chain(delimiter).take(matched).skip(borrowed) {
                push(value, &[*byte], MAX_TEXT);
            }
        }
        self.state = State::Content {
            matched: 0,
            borrowed: 0,
        };
    }

    fn push_value(&mut self, bytes: &[u8]) {
        if self.is_wanted {
            push(&mut self.value, bytes, MAX_TEXT);
        }
    }

    /// The last of several fields of the name counts.
    fn end_part(&mut self) {
        if std::mem::take(&mut self.is_wanted) {
            self.found = Some(std::mem::take(&mut self.value));
        }
    }
}

/// Whether a header line is the `content-disposition` of this field.
fn names(line: &[u8], field: &[u8]) -> bool {
    let Some(colon) = memchr(b':', line) else { return false };
    let (name, value) = line.split_at(colon);
    if !name.trim_ascii().eq_ignore_ascii_case(b"content-disposition") {
        return false;
    }
    let mut rest = value.get(1..).unwrap_or_default();
    // The disposition type, then parameters.
    while let Some(semicolon) = memchr(b';', rest) {
        rest = rest.get(semicolon + 1..).unwrap_or_default();
        let Some(equals) = memchr(b'=', rest) else { return false };
        let (key, value) = rest.split_at(equals);
        let value = value.get(1..).unwrap_or_default().trim_ascii_start();
        let (text, after) = match value.strip_prefix(b"\"") {
            Some(quoted) => unquoted(quoted),
            None => {
                let (token, after) = value.split_at(memchr(b';', value).unwrap_or(value.len()));
                (token.trim_ascii().to_vec(), after)
            }
        };
        if key.trim_ascii().eq_ignore_ascii_case(b"name") {
            return text == field;
        }
        rest = after;
    }
    false
}

/// A quoted string after its first quote, and what follows it.
fn unquoted(quoted: &[u8]) -> (Vec<u8>, &[u8]) {
    let (mut text, mut rest) = (Vec::new(), quoted);
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after.split_first()) {
            (b'"', _) => break,
            (b'\\', Some((escaped, after))) => {
                text.push(*escaped);
                rest = after;
            }
            _ => text.push(*byte),
        }
    }
    (text, rest)
}

/// Appends the bytes that fit below `cap`.
fn push(kept: &mut Vec<u8>, bytes: &[u8], cap: usize) {
    let room = cap.saturating_sub(kept.len());
    kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
}

#[cfg(test)]
mod tests;
