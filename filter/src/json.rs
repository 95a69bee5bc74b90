//! An incremental JSON scanner that emits the values at given paths. It builds no tree and buffers only the current string
//! or number.
//!
//! It owns the grammar of RFC 8259 and knows nothing about the meaning of values. Invariant: the emitted values do not
//! depend on the chunk boundaries, and memory stays below [`MAX_TEXT`] plus a constant.
//!
//! It accepts every document that `serde_json` accepts, up to [`MAX_DEPTH`] levels, and some that only the lenient Python
//! parsers of model servers accept: a byte order mark, `NaN`, `Infinity`, raw control characters in strings, and invalid
//! escapes and numbers in values at no path. Anything else that violates the grammar is a [`ScanError`].

mod literal;
mod path;
mod text;
mod value;

use memchr::memchr2;

use literal::{Literal, find_quote_or_backslash};
use path::{MAX_SEGMENTS, Mask, PathSet};
pub use path::{Path, Segment};
use text::Text;
pub use value::{Progress, ScanError, Value};

/// A longer string value is truncated to this many bytes. A model label is the longest text that is kept (256 bytes); the
/// excess shows that the name was longer.
pub const MAX_TEXT: usize = 260;
/// Limit of nested containers: as many as servers accept (Python's recursion limit is near 1,000), in 128 bytes of state.
pub const MAX_DEPTH: usize = 1024;
/// A longer number is emitted as empty: no count has so many digits.
const MAX_NUMBER: usize = 64;
const BOM: &[u8] = "\u{feff}".as_bytes();

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before the top-level value; the number of bytes seen of a byte order mark.
    Start(usize),
    Value,
    /// After `[`: a value or `]`.
    FirstElement,
    /// After `{`: a key or `}`.
    FirstKey,
    Key,
    Colon,
    /// In a key or string value that a path may match: it is decoded.
    Decoded(Role),
    /// In any other one. `escaped`: the last byte was a backslash.
    Skipped {
        role: Role,
        escaped: bool,
    },
    Number,
    /// In `true`, `null` or the like, of which `seen` bytes were read.
    Literal {
        which: Literal,
        seen: u8,
    },
    AfterValue,
    Complete,
    Malformed(ScanError),
}

/// Whether a string is a key or a value.
#[derive(Clone, Copy, Debug)]
enum Role {
    Key,
    Value,
}

/// The scanner of one document. `F` identifies the paths.
#[derive(Debug)]
pub struct Scanner<F: 'static> {
    paths: PathSet<F>,
    state: State,
    /// Number of open containers.
    depth: usize,
    /// One bit per open container: 1 for an object, 0 for an array.
    objects: [u64; MAX_DEPTH / 64],
    /// Indexed by depth. Deeper containers match no path.
    levels: [Level; MAX_SEGMENTS + 2],
    /// The paths that match the current or next value, or lead into it.
    matched: Mask,
    text: Text,
}

#[derive(Clone, Copy, Debug, Default)]
struct Level {
    /// The paths that lead into the container.
    inside: Mask,
    /// The path of the container itself.
    exact: Mask,
}

// === impl Scanner ===

impl<F: Copy + 'static> Scanner<F> {
    /// A scanner for the values at these groups of paths: no more than 32 in total, all distinct, with up to six segments.
    pub fn new(paths: &'static [&'static [Path<F>]]) -> Self {
        let paths = PathSet::new(paths);
        Self {
            matched: paths.all(),
            paths,
            state: State::Start(0),
            depth: 0,
            objects: [0; MAX_DEPTH / 64],
            levels: [Level::default(); MAX_SEGMENTS + 2],
            text: Text::default(),
        }
    }

    /// Resets the scanner for a new document. The buffer is reused.
    pub fn restart(&mut self) {
        self.state = State::Start(0);
        self.depth = 0;
        self.matched = self.paths.all();
    }

    /// The state of the document. (A bare number at the top level is complete only when a further byte follows.)
    pub fn progress(&self) -> Progress {
        match self.state {
            State::Start(_) => Progress::Empty,
            State::Complete => Progress::Complete,
            State::Malformed(error) => Progress::Malformed(error),
            _ => Progress::Incomplete,
        }
    }

    /// Reads the next chunk and emits each value at a path, in document order.
    pub fn feed(&mut self, bytes: &[u8], emit: &mut dyn FnMut(F, Value<'_>)) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            let read = match self.state {
                State::Skipped { role, escaped } => Ok(self.skip_string(role, escaped, rest)),
                State::Decoded(role) => self.decode_string(role, rest, emit),
                State::Number => self.number(rest, emit),
                State::Literal { which, seen } => self.literal(which, seen, rest, emit),
                State::Malformed(_) => return,
                _ => self.step(byte, emit).map(|()| after),
            };
            match read {
                Ok(left) => rest = left,
                Err(error) => self.state = State::Malformed(error),
            }
        }
    }

    /// Reads one byte outside strings, numbers and literals.
    fn step(&mut self, byte: u8, emit: &mut dyn FnMut(F, Value<'_>)) -> Result<(), ScanError> {
        let blank = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self.state {
            State::Start(seen) => {
                if BOM.get(seen) == Some(&byte) {
                    self.state = State::Start(seen + 1);
                } else if matches!(seen, 1 | 2) {
                    return Err(ScanError::UnexpectedByte);
                } else if blank {
                    // A byte order mark is valid only as the first bytes.
                    self.state = State::Start(BOM.len());
                } else {
                    return self.begin_value(byte, emit);
                }
            }
            State::Value if !blank => return self.begin_value(byte, emit),
            State::FirstElement if byte == b']' => self.close(emit),
            State::FirstElement if !blank => return self.begin_value(byte, emit),
            State::FirstKey if byte == b'}' => self.close(emit),
            State::FirstKey | State::Key if byte == b'"' => self.begin_string(Role::Key, !self.inside().is_empty()),
            State::Colon if byte == b':' => self.state = State::Value,
            State::AfterValue => match byte {
                b',' if self.in_object() => self.state = State::Key,
                b',' => {
                    self.matched = self.inside();
                    self.state = State::Value;
                }
                b'}' if self.in_object() => self.close(emit),
                b']' if !self.in_object() => self.close(emit),
                _ if blank => {}
                _ => return Err(ScanError::UnexpectedByte),
            },
            _ if blank => {}
            _ => return Err(ScanError::UnexpectedByte),
        }
        Ok(())
    }

    fn begin_value(&mut self, byte: u8, emit: &mut dyn FnMut(F, Value<'_>)) -> Result<(), ScanError> {
        match byte {
            b'{' => return self.open(true, emit),
            b'[' => return self.open(false, emit),
            b'"' => self.begin_string(Role::Value, !self.exact().is_empty()),
            b't' => self.begin_literal(Literal::True),
            b'f' => self.begin_literal(Literal::False),
            b'n' => self.begin_literal(Literal::Null),
            b'N' => self.begin_literal(Literal::NaN),
            b'I' => self.begin_literal(Literal::Infinity),
            b'-' | b'0'..=b'9' => {
                self.text.clear();
                self.text.push(&[byte], MAX_NUMBER);
                self.state = State::Number;
            }
            _ => return Err(ScanError::UnexpectedByte),
        }
        Ok(())
    }

    fn begin_string(&mut self, role: Role, decode: bool) {
        self.text.clear();
        self.state = if decode {
            State::Decoded(role)
        } else {
            State::Skipped { role, escaped: false }
        };
    }

    fn begin_literal(&mut self, which: Literal) {
        self.state = State::Literal { which, seen: 1 };
    }

    fn literal<'b>(
        &mut self,
        which: Literal,
        seen: u8,
        bytes: &'b [u8],
        emit: &mut dyn FnMut(F, Value<'_>),
    ) -> Result<&'b [u8], ScanError> {
        let (word, value) = which.bytes_and_value();
        let missing = word.get(usize::from(seen)..).unwrap_or_default();
        if let Some(rest) = bytes.strip_prefix(missing) {
            self.emit(value, emit);
            self.after_value();
            return Ok(rest);
        }
        if missing.starts_with(bytes) {
            self.state = State::Literal {
                which,
                seen: seen + bytes.len() as u8,
            };
            return Ok(&[]);
        }
        Err(ScanError::UnexpectedByte)
    }

    fn open(&mut self, object: bool, emit: &mut dyn FnMut(F, Value<'_>)) -> Result<(), ScanError> {
        let bit = 1 << (self.depth % 64);
        let word = self.objects.get_mut(self.depth / 64).ok_or(ScanError::TooDeep)?;
        *word = if object { *word | bit } else { *word & !bit };
        self.emit(if object { Value::Object } else { Value::Array }, emit);
        let exact = self.exact();
        let inside = if object {
            self.matched
        } else {
            self.paths.elements(self.matched, self.depth)
        };
        self.depth += 1;
        if let Some(level) = self.levels.get_mut(self.depth) {
            *level = Level {
                inside: inside.without(exact),
                exact,
            };
        }
        self.matched = self.inside();
        self.state = if object { State::FirstKey } else { State::FirstElement };
        Ok(())
    }

    fn close(&mut self, emit: &mut dyn FnMut(F, Value<'_>)) {
        let path = self.levels.get(self.depth).and_then(|level| self.paths.id(level.exact));
        if let Some(id) = path {
            emit(id, Value::End);
        }
        self.depth = self.depth.saturating_sub(1);
        self.after_value();
    }

    /// Skips a string that no path matches. Most bytes of a request are in such strings.
    fn skip_string<'b>(&mut self, role: Role, escaped: bool, bytes: &'b [u8]) -> &'b [u8] {
        let body = bytes.get(usize::from(escaped)..).unwrap_or_default();
        let end = match role {
            Role::Key => find_quote_or_backslash(body),
            Role::Value => memchr2(b'"', b'\\', body),
        };
        match end.and_then(|at| body.get(at)) {
            Some(b'"') => self.end_string(role),
            Some(_) => self.state = State::Skipped { role, escaped: true },
            None => self.state = State::Skipped { role, escaped: false },
        }
        end.and_then(|at| body.get(at + 1..)).unwrap_or_default()
    }

    fn decode_string<'b>(
        &mut self,
        role: Role,
        bytes: &'b [u8],
        emit: &mut dyn FnMut(F, Value<'_>),
    ) -> Result<&'b [u8], ScanError> {
        // Fast path: nearly every string is in one chunk and has no escapes, so it needs no copy.
        if self.text.is_empty()
            && let Some(end) = find_quote_or_backslash(bytes)
            && let Some((text, [b'"', rest @ ..])) = bytes.split_at_checked(end)
            && text.len() <= MAX_TEXT
        {
            match role {
                Role::Key => self.matched = self.paths.key(self.inside(), self.depth.saturating_sub(1), text),
                Role::Value => self.emit(Value::Str(text), emit),
            }
            self.end_string(role);
            return Ok(rest);
        }
        let (rest, ended) = self.text.read(bytes, MAX_TEXT)?;
        if ended {
            match role {
                // A truncated key is longer than every key of a path.
                Role::Key => {
                    self.matched = self
                        .paths
                        .key(self.inside(), self.depth.saturating_sub(1), self.text.bytes())
                }
                Role::Value => self.emit(Value::Str(self.text.bytes()), emit),
            }
            self.end_string(role);
        }
        Ok(rest)
    }

    fn end_string(&mut self, role: Role) {
        match role {
            Role::Key => self.state = State::Colon,
            Role::Value => self.after_value(),
        }
    }

    fn number<'b>(&mut self, bytes: &'b [u8], emit: &mut dyn FnMut(F, Value<'_>)) -> Result<&'b [u8], ScanError> {
        let is_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
        let end = bytes.iter().position(|byte| !is_number(byte)).unwrap_or(bytes.len());
        let (digits, rest) = bytes.split_at(end);
        self.text.push(digits, MAX_NUMBER);
        match rest.first() {
            None => {}
            Some(b'I') if self.text.bytes() == b"-" => {
                self.begin_literal(Literal::MinusInfinity);
            }
            Some(_) => {
                self.emit(
                    Value::Number(if self.text.is_truncated() {
                        b""
                    } else {
                        self.text.bytes()
                    }),
                    emit,
                );
                self.after_value();
            }
        }
        Ok(rest)
    }

    fn emit(&self, value: Value<'_>, emit: &mut dyn FnMut(F, Value<'_>)) {
        if let Some(id) = self.paths.id(self.exact()) {
            emit(id, value);
        }
    }

    fn after_value(&mut self) {
        self.state = if self.depth == 0 {
            State::Complete
        } else {
            State::AfterValue
        };
    }

    /// The path that ends at the current or next value.
    fn exact(&self) -> Mask {
        self.paths.exact(self.matched, self.depth)
    }

    /// The paths that lead into the innermost open container.
    fn inside(&self) -> Mask {
        self.levels
            .get(self.depth)
            .map_or(Mask::default(), |level| level.inside)
    }

    fn in_object(&self) -> bool {
        let index = self.depth.saturating_sub(1);
        self.objects
            .get(index / 64)
            .is_some_and(|word| word & (1 << (index % 64)) != 0)
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod property;
#[cfg(test)]
mod tests;
