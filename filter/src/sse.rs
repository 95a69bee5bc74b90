//! Incremental splitter of server-sent events: bytes in, pieces of events out, as the WHATWG standard cuts them.
//!
//! It owns lines and fields and knows nothing of what the data says. An event's data is handed on in pieces as it
//! comes, so an event of any size costs no memory. Invariant: however the bytes are cut into chunks, the pieces joined
//! are the same.
//!
//! It differs from a browser in one point: an event that the end of the stream cuts off before its blank line still
//! counts, because model servers and proxies do forget that line.

use memchr::memchr2;

/// Bytes kept of an event's name; the names that mean anything are shorter than half of this.
pub const MAX_NAME: usize = 64;
/// Longer than each field name that matters (`data`, `event`).
const MAX_FIELD: usize = 8;
const BOM: &[u8] = "\u{feff}".as_bytes();

/// A part of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The next bytes of the event's data, its lines joined by one LF.
    Data(&'a [u8]),
    /// The event is whole; its name, at most [`MAX_NAME`] bytes, empty when it has none.
    End {
        /// What the `event:` field said.
        name: &'a [u8],
    },
}

#[derive(Debug)]
enum Line {
    /// Before the stream's first byte; so much of a byte order mark was seen.
    Bom(usize),
    /// In the field's name, up to the colon.
    Field,
    /// Right after the colon, where one space does not count.
    Space(Field),
    Value(Field),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    /// Comments, `id`, `retry` and whatever else there is.
    Other,
}

/// The splitter of one stream.
#[derive(Debug)]
pub struct Splitter {
    line: Line,
    field: Vec<u8>,
    name: Vec<u8>,
    /// The event that is read has had a `data` line.
    has_data: bool,
    /// The last byte was a CR; an LF after it belongs to the same line end.
    after_cr: bool,
}

// === impl Splitter ===

impl Default for Splitter {
    fn default() -> Self {
        Self {
            line: Line::Bom(0),
            field: Vec::new(),
            name: Vec::new(),
            has_data: false,
            after_cr: false,
        }
    }
}

impl Splitter {
    /// Reads the next bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8], on: &mut dyn FnMut(Piece<'_>)) {
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
                    // What looked like a mark was the start of a field's name, and of none that matters.
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
                Line::Field | Line::Value(_) => {}
            }
            if matches!(byte, b'\r' | b'\n') {
                self.after_cr = byte == b'\r';
                self.end_line(on);
                rest = after;
            } else if let Line::Value(field) = self.line {
                let (value, left) = rest.split_at(memchr2(b'\r', b'\n', rest).unwrap_or(rest.len()));
                match field {
                    Field::Data => on(Piece::Data(value)),
                    Field::Event => push(&mut self.name, value, MAX_NAME),
                    Field::Other => {}
                }
                rest = left;
            } else {
                if byte == b':' {
                    let field = self.begin_value(on);
                    self.line = Line::Space(field);
                } else {
                    push(&mut self.field, &[byte], MAX_FIELD);
                }
                rest = after;
            }
        }
    }

    /// The stream is over.
    pub fn finish(&mut self, on: &mut dyn FnMut(Piece<'_>)) {
        self.end_line(on);
        self.end_event(on);
    }

    fn end_line(&mut self, on: &mut dyn FnMut(Piece<'_>)) {
        match self.line {
            Line::Field if self.field.is_empty() => self.end_event(on),
            // A line without a colon is a field with an empty value.
            Line::Field => _ = self.begin_value(on),
            Line::Bom(_) | Line::Space(_) | Line::Value(_) => {}
        }
        self.field.clear();
        self.line = Line::Field;
    }

    fn begin_value(&mut self, on: &mut dyn FnMut(Piece<'_>)) -> Field {
        match self.field.as_slice() {
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    on(Piece::Data(b"\n"));
                }
                Field::Data
            }
            b"event" => {
                self.name.clear();
                Field::Event
            }
            _ => Field::Other,
        }
    }

    fn end_event(&mut self, on: &mut dyn FnMut(Piece<'_>)) {
        if std::mem::take(&mut self.has_data) {
            on(Piece::End { name: &self.name });
        }
        self.name.clear();
    }
}

/// Appends what fits below `cap`.
fn push(kept: &mut Vec<u8>, bytes: &[u8], cap: usize) {
    let room = cap.saturating_sub(kept.len());
    kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod property;
#[cfg(test)]
mod tests;
