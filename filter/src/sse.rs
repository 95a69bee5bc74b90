//! An incremental parser of server-sent events (WHATWG HTML, section 9.2.6) that emits events in pieces.
//!
//! It owns lines and fields and knows nothing about the content of the data. Data is emitted as it arrives, so an event of
//! any size needs no buffer. Invariant: the concatenated pieces do not depend on the chunk boundaries.
//!
//! It deviates from the standard in two points. The last event of a stream is dispatched even if its blank line is missing,
//! because some model servers and proxies omit that line. A field named `error` makes an event, too: llama.cpp before
//! `data: {"error": …}` sent `error: {…}`.

use memchr::memchr2;

/// A longer event name is truncated to this many bytes. The names that readers know are less than half as long.
pub const MAX_NAME: usize = 64;
/// Longer than every field name that is recognized (`data`, `event`, `error`).
const MAX_FIELD: usize = 8;
const BOM: &[u8] = "\u{feff}".as_bytes();

/// A part of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The next bytes of the event's data, its lines joined by one LF.
    Data(&'a [u8]),
    /// The end of the event.
    End {
        /// The value of the `event` field, up to [`MAX_NAME`] bytes; empty if there was none.
        name: &'a [u8],
        /// The event has a field named `error`. Its value is not emitted.
        has_error: bool,
    },
}

#[derive(Debug)]
enum Line {
    /// At the start of the stream; the number of bytes seen of a byte order mark.
    Bom(usize),
    /// In the field name, up to the colon.
    Field,
    /// After the colon, where one space is ignored.
    Space(Field),
    Value(Field),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    /// Comments, `error`, `id`, `retry` and unknown fields.
    Other,
}

/// The parser of one SSE stream.
#[derive(Debug)]
pub struct Parser {
    line: Line,
    field: Vec<u8>,
    name: Vec<u8>,
    /// The current event has a `data` field.
    has_data: bool,
    /// The current event has an `error` field.
    has_error: bool,
    /// The last byte was CR; a following LF belongs to the same line ending.
    after_cr: bool,
}

// === impl Parser ===

impl Default for Parser {
    fn default() -> Self {
        Self {
            line: Line::Bom(0),
            field: Vec::new(),
            name: Vec::new(),
            has_data: false,
            has_error: false,
            after_cr: false,
        }
    }
}

impl Parser {
    /// Reads the next chunk of the stream.
    pub fn feed(&mut self, bytes: &[u8], emit: &mut dyn FnMut(Piece<'_>)) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if std::mem::take(&mut self.after_cr) && byte == b'\n' {
                rest = after;
                continue;
            }
            match self.line {
                Line::Bom(seen) if BOM.get(seen) == Some(&byte) => {
                    self.line = if seen + 1 == BOM.len() {
                        Line::Field
                    } else {
                        Line::Bom(seen + 1)
                    };
                    rest = after;
                    continue;
                }
                Line::Bom(seen) => {
                    // Not a byte order mark after all, but the start of an unknown field name.
                    self.field.extend_from_slice(BOM.get(..seen).unwrap_or_default());
                    self.line = Line::Field;
                }
                Line::Space(field) => {
                    self.line = Line::Value(field);
                    if byte == b' ' {
                        rest = after;
                        continue;
                    }
                }
                Line::Field if self.field.is_empty() => {
                    // Fast path: nearly every line begins with it.
                    if let Some(after) = rest.strip_prefix(b"data:") {
                        self.line = Line::Space(self.begin_data(emit));
                        rest = after;
                        continue;
                    }
                }
                Line::Field | Line::Value(_) => {}
            }
            if matches!(byte, b'\r' | b'\n') {
                self.after_cr = byte == b'\r';
                self.end_line(emit);
                rest = after;
            } else if let Line::Value(field) = self.line {
                let (value, left) = rest.split_at(memchr2(b'\r', b'\n', rest).unwrap_or(rest.len()));
                match field {
                    Field::Data => emit(Piece::Data(value)),
                    Field::Event => push(&mut self.name, value, MAX_NAME),
                    Field::Other => {}
                }
                rest = left;
            } else {
                if byte == b':' {
                    let field = self.begin_value(emit);
                    self.line = Line::Space(field);
                } else {
                    push(&mut self.field, &[byte], MAX_FIELD);
                }
                rest = after;
            }
        }
    }

    /// Ends the stream.
    pub fn finish(&mut self, emit: &mut dyn FnMut(Piece<'_>)) {
        self.end_line(emit);
        self.end_event(emit);
    }

    fn end_line(&mut self, emit: &mut dyn FnMut(Piece<'_>)) {
        match self.line {
            Line::Field if self.field.is_empty() => self.end_event(emit),
            // A line without a colon is a field with an empty value.
            Line::Field => _ = self.begin_value(emit),
            Line::Bom(_) | Line::Space(_) | Line::Value(_) => {}
        }
        self.field.clear();
        self.line = Line::Field;
    }

    fn begin_value(&mut self, emit: &mut dyn FnMut(Piece<'_>)) -> Field {
        match self.field.as_slice() {
            b"data" => self.begin_data(emit),
            b"event" => {
                self.name.clear();
                Field::Event
            }
            b"error" => {
                self.has_error = true;
                Field::Other
            }
            _ => Field::Other,
        }
    }

    fn begin_data(&mut self, emit: &mut dyn FnMut(Piece<'_>)) -> Field {
        if std::mem::replace(&mut self.has_data, true) {
            emit(Piece::Data(b"\n"));
        }
        Field::Data
    }

    fn end_event(&mut self, emit: &mut dyn FnMut(Piece<'_>)) {
        let has_error = std::mem::take(&mut self.has_error);
        if std::mem::take(&mut self.has_data) || has_error {
            emit(Piece::End {
                name: &self.name,
                has_error,
            });
        }
        self.name.clear();
    }
}

/// Appends the bytes that fit below `cap`.
fn push(kept: &mut Vec<u8>, bytes: &[u8], cap: usize) {
    let room = cap.saturating_sub(kept.len());
    kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod property;
#[cfg(test)]
mod tests;
