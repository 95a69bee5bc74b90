//! Incremental JSON scanner: bytes in, the values at chosen paths out. It builds no tree and keeps nothing but the
//! one string or number that it stands in.
//!
//! It owns the grammar of RFC 8259 and knows nothing of what the values mean. Invariant: for every way to cut the
//! bytes into chunks the values come out the same, and memory stays below [`MAX_TEXT`] plus a constant.
//!
//! It accepts every document that `serde_json` accepts down to [`MAX_DEPTH`] levels, and a few more, as Python's
//! parsers on the other side do: a byte order mark, `NaN`, `Infinity`, raw control characters in strings, and, in
//! values that nobody asked for, odd escapes and odd numbers. Whatever breaks the structure is a [`Fault`].

mod literal;
mod path;
mod text;
mod value;

use memchr::memchr2;

use literal::{Literal, find_mark};
use path::{MAX_SEGMENTS, Mask, PathSet};
pub use path::{Path, Segment};
use text::Text;
pub use value::{Fault, Progress, Value};

/// Bytes kept of a string value. A model's name is the longest text that anybody keeps (256 bytes); a few bytes more
/// let its owner see that it went on.
pub const MAX_TEXT: usize = 260;
/// Open containers at most: what servers take (Python gives up near 1,000) in 128 bytes of bits.
pub const MAX_DEPTH: usize = 1024;
/// Bytes kept of a number: more digits than this are no count of anything.
const MAX_NUMBER: usize = 64;
const BOM: &[u8] = "\u{feff}".as_bytes();

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before the first byte of the top-level value; the number says how much of a byte order mark was seen.
    Start(usize),
    Value,
    /// After `[`: a value or `]`.
    FirstElement,
    /// After `{`: a key or `}`.
    FirstKey,
    Key,
    Colon,
    /// In a key or a string value that somebody may want.
    Kept(Role),
    /// In one that nobody asked for; `escaped` says that the last byte was a backslash.
    Skipped {
        role: Role,
        escaped: bool,
    },
    Number,
    /// In `true`, `null` and the like: so many bytes of it were read.
    Literal {
        which: Literal,
        seen: u8,
    },
    AfterValue,
    Complete,
    Broken(Fault),
}

/// What a string is.
#[derive(Clone, Copy, Debug)]
enum Role {
    Key,
    Value,
}

/// The scanner of one document. `F` names the paths.
#[derive(Debug)]
pub struct Scanner<F: 'static> {
    paths: PathSet<F>,
    state: State,
    /// Open containers.
    depth: usize,
    /// One bit for each of them: 1 is an object.
    objects: [u64; MAX_DEPTH / 64],
    /// For the outer containers, by depth: the paths that lead into each, and the one that ends at it.
    levels: [Level; MAX_SEGMENTS + 2],
    /// The paths that fit the value that is read or comes next.
    matched: Mask,
    text: Text,
}

#[derive(Clone, Copy, Debug, Default)]
struct Level {
    inside: Mask,
    exact: Mask,
}

// === impl Scanner ===

impl<F: Copy + 'static> Scanner<F> {
    /// A scanner for the values at these groups of paths: at most 32 in all, all different, none longer than six segments.
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

    /// Makes it ready for another document; the buffer is kept.
    pub fn restart(&mut self) {
        self.state = State::Start(0);
        self.depth = 0;
        self.matched = self.paths.all();
    }

    /// How the document stands after what was fed. (A bare number at the top level is whole only when more follows.)
    pub fn progress(&self) -> Progress {
        match self.state {
            State::Start(_) => Progress::Empty,
            State::Complete => Progress::Complete,
            State::Broken(fault) => Progress::Broken(fault),
            _ => Progress::Open,
        }
    }

    /// Reads the next bytes and hands over each value at a path, in the order of the document.
    pub fn feed(&mut self, bytes: &[u8], on: &mut dyn FnMut(F, Value<'_>)) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            let read = match self.state {
                State::Skipped { role, escaped } => Ok(self.skip_string(role, escaped, rest)),
                State::Kept(role) => self.keep_string(role, rest, on),
                State::Number => self.number(rest, on),
                State::Literal { which, seen } => self.literal(which, seen, rest, on),
                State::Broken(_) => return,
                _ => self.step(byte, on).map(|()| after),
            };
            match read {
                Ok(left) => rest = left,
                Err(fault) => self.state = State::Broken(fault),
            }
        }
    }

    /// One byte outside strings and numbers.
    fn step(&mut self, byte: u8, on: &mut dyn FnMut(F, Value<'_>)) -> Result<(), Fault> {
        let blank = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self.state {
            State::Start(seen) => {
                if BOM.get(seen) == Some(&byte) {
                    self.state = State::Start(seen + 1);
                } else if matches!(seen, 1 | 2) {
                    return Err(Fault::Unexpected);
                } else if blank {
                    // A mark counts before everything else only.
                    self.state = State::Start(BOM.len());
                } else {
                    return self.begin_value(byte, on);
                }
            }
            State::Value if !blank => return self.begin_value(byte, on),
            State::FirstElement if byte == b']' => self.close(on),
            State::FirstElement if !blank => return self.begin_value(byte, on),
            State::FirstKey if byte == b'}' => self.close(on),
            State::FirstKey | State::Key if byte == b'"' => self.begin_string(Role::Key, !self.inside().is_empty()),
            State::Colon if byte == b':' => self.state = State::Value,
            State::AfterValue => match byte {
                b',' if self.in_object() => self.state = State::Key,
                b',' => {
                    self.matched = self.inside();
                    self.state = State::Value;
                }
                b'}' if self.in_object() => self.close(on),
                b']' if !self.in_object() => self.close(on),
                _ if blank => {}
                _ => return Err(Fault::Unexpected),
            },
            _ if blank => {}
            _ => return Err(Fault::Unexpected),
        }
        Ok(())
    }

    fn begin_value(&mut self, byte: u8, on: &mut dyn FnMut(F, Value<'_>)) -> Result<(), Fault> {
        match byte {
            b'{' => return self.open(true, on),
            b'[' => return self.open(false, on),
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
            _ => return Err(Fault::Unexpected),
        }
        Ok(())
    }

    fn begin_string(&mut self, role: Role, wanted: bool) {
        self.text.clear();
        self.state = if wanted {
            State::Kept(role)
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
        on: &mut dyn FnMut(F, Value<'_>),
    ) -> Result<&'b [u8], Fault> {
        let (word, value) = which.of();
        let missing = word.get(usize::from(seen)..).unwrap_or_default();
        if let Some(rest) = bytes.strip_prefix(missing) {
            self.emit(value, on);
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
        Err(Fault::Unexpected)
    }

    fn open(&mut self, object: bool, on: &mut dyn FnMut(F, Value<'_>)) -> Result<(), Fault> {
        let bit = 1 << (self.depth % 64);
        let word = self.objects.get_mut(self.depth / 64).ok_or(Fault::TooDeep)?;
        *word = if object { *word | bit } else { *word & !bit };
        self.emit(if object { Value::Object } else { Value::Array }, on);
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

    fn close(&mut self, on: &mut dyn FnMut(F, Value<'_>)) {
        let ended = self.levels.get(self.depth).and_then(|level| self.paths.id(level.exact));
        if let Some(id) = ended {
            on(id, Value::End);
        }
        self.depth = self.depth.saturating_sub(1);
        self.after_value();
    }

    /// Passes over a string that nobody asked for: here is where most bytes of a request lie.
    fn skip_string<'b>(&mut self, role: Role, escaped: bool, bytes: &'b [u8]) -> &'b [u8] {
        let body = bytes.get(usize::from(escaped)..).unwrap_or_default();
        let mark = match role {
            Role::Key => find_mark(body),
            Role::Value => memchr2(b'"', b'\\', body),
        };
        match mark.and_then(|at| body.get(at)) {
            Some(b'"') => self.end_string(role),
            Some(_) => self.state = State::Skipped { role, escaped: true },
            None => self.state = State::Skipped { role, escaped: false },
        }
        mark.and_then(|at| body.get(at + 1..)).unwrap_or_default()
    }

    fn keep_string<'b>(
        &mut self,
        role: Role,
        bytes: &'b [u8],
        on: &mut dyn FnMut(F, Value<'_>),
    ) -> Result<&'b [u8], Fault> {
        // Nearly every one lies in one chunk and has no escapes: it is read where it stands.
        if self.text.is_fresh()
            && let Some(end) = find_mark(bytes)
            && let Some((text, [b'"', rest @ ..])) = bytes.split_at_checked(end)
            && text.len() <= MAX_TEXT
        {
            match role {
                Role::Key => self.matched = self.paths.key(self.inside(), self.depth.saturating_sub(1), text),
                Role::Value => self.emit(Value::Str(text), on),
            }
            self.end_string(role);
            return Ok(rest);
        }
        let (rest, ended) = self.text.read(bytes, MAX_TEXT)?;
        if ended {
            match role {
                // A key that was too long to be kept is longer than every key of a path.
                Role::Key => {
                    self.matched = self
                        .paths
                        .key(self.inside(), self.depth.saturating_sub(1), self.text.bytes())
                }
                Role::Value => self.emit(Value::Str(self.text.bytes()), on),
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

    fn number<'b>(&mut self, bytes: &'b [u8], on: &mut dyn FnMut(F, Value<'_>)) -> Result<&'b [u8], Fault> {
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
                    Value::Number(if self.text.truncated() { b"" } else { self.text.bytes() }),
                    on,
                );
                self.after_value();
            }
        }
        Ok(rest)
    }

    fn emit(&self, value: Value<'_>, on: &mut dyn FnMut(F, Value<'_>)) {
        if let Some(id) = self.paths.id(self.exact()) {
            on(id, value);
        }
    }

    fn after_value(&mut self) {
        self.state = if self.depth == 0 {
            State::Complete
        } else {
            State::AfterValue
        };
    }

    /// The path that ends at the value that is read or comes next.
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
