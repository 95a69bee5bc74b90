//! The state machine of the grammar. It knows the nodes of the paths but not the reader's identifiers, so all readers share
//! its code: in Envoy it runs seldom enough to be cold in the processor's caches.

use super::literal::Literal;
use super::path::MAX_SEGMENTS;
use super::skip::{end_of_number, end_of_text};
use super::text::Text;
use super::trie::{NodeIndex, Trie};
use super::{BOM, MAX_DEPTH, MAX_NUMBER, MAX_TEXT, Progress, ScanError, Value};

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before the top-level value; the number of bytes seen of a byte order mark.
    Start(u8),
    Value,
    /// After `[`: a value or `]`.
    FirstElement,
    /// After `{`: a key or `}`.
    FirstKey,
    Key,
    Colon,
    /// In a string that a path may select, where a chunk or an unescaped run has ended.
    Decoded(Role),
    /// In any other string. `escaped`: the last byte was a backslash.
    Skipped {
        role: Role,
        escaped: bool,
    },
    /// In a number in which a chunk has ended.
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

/// Receives the values, each with its node.
pub(super) type Emit<'e> = dyn FnMut(NodeIndex, Value<'_>) + 'e;

#[derive(Debug)]
pub(super) struct Machine {
    trie: &'static Trie,
    state: State,
    /// The current or next value.
    node: NodeIndex,
    /// The innermost open container is an object.
    in_object: bool,
    /// Number of open containers.
    depth: usize,
    /// The open containers, the outermost at 1. Deeper ones are at no path.
    levels: [NodeIndex; MAX_SEGMENTS + 2],
    /// One bit per open container: 1 for an object, 0 for an array.
    objects: [u64; MAX_DEPTH / 64],
    text: Text,
}

// === impl Machine ===

impl Machine {
    pub(super) fn new(trie: &'static Trie) -> Self {
        Self {
            trie,
            state: State::Start(0),
            node: NodeIndex::ROOT,
            in_object: false,
            depth: 0,
            levels: [NodeIndex::NONE; MAX_SEGMENTS + 2],
            objects: [0; MAX_DEPTH / 64],
            text: Text::default(),
        }
    }

    pub(super) fn restart(&mut self) {
        self.state = State::Start(0);
        self.node = NodeIndex::ROOT;
        self.in_object = false;
        self.depth = 0;
    }

    pub(super) fn progress(&self) -> Progress {
        match self.state {
            State::Start(_) => Progress::Empty,
            State::Complete => Progress::Complete,
            State::Malformed(error) => Progress::Malformed(error),
            _ => Progress::Incomplete,
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8], emit: &mut Emit<'_>) {
        if let Err(error) = self.read(bytes, emit) {
            self.state = State::Malformed(error);
        }
    }

    fn read(&mut self, bytes: &[u8], emit: &mut Emit<'_>) -> Result<(), ScanError> {
        let mut rest = bytes;
        while let [byte, after @ ..] = rest {
            let is_blank = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
            rest = match (self.state, byte) {
                (State::Skipped { role, escaped }, _) => self.skip_string(role, rest, escaped),
                (State::Decoded(role), _) => self.decode_string(role, rest, emit)?,
                (State::Number, _) => self.resume_number(rest, emit),
                (State::Literal { which, seen }, _) => self.literal(which, seen, rest, emit)?,
                (State::Malformed(_), _) => return Ok(()),
                (State::Start(seen), byte) => {
                    if BOM.get(usize::from(seen)) == Some(byte) {
                        self.state = State::Start(seen + 1);
                        after
                    } else if matches!(seen, 1 | 2) {
                        return Err(ScanError::UnexpectedByte);
                    } else if is_blank {
                        // A byte order mark is valid only as the first bytes.
                        self.state = State::Start(BOM.len() as u8);
                        after
                    } else {
                        self.value(rest, emit)?
                    }
                }
                _ if is_blank => after,
                (State::FirstElement, b']') | (State::FirstKey, b'}') => {
                    self.close(emit);
                    after
                }
                (State::Value | State::FirstElement, _) => self.value(rest, emit)?,
                (State::FirstKey | State::Key, b'"') => self.key(after),
                (State::Colon, b':') => {
                    self.state = State::Value;
                    after
                }
                (State::AfterValue, b',') => {
                    if self.in_object {
                        self.state = State::Key;
                    } else {
                        self.node = self.trie.element(self.container());
                        self.state = State::Value;
                    }
                    after
                }
                (State::AfterValue, b'}') if self.in_object => {
                    self.close(emit);
                    after
                }
                (State::AfterValue, b']') if !self.in_object => {
                    self.close(emit);
                    after
                }
                _ => return Err(ScanError::UnexpectedByte),
            };
        }
        Ok(())
    }

    /// Reads a value, or its part in this chunk, from its first byte.
    #[inline(always)]
    fn value<'b>(&mut self, bytes: &'b [u8], emit: &mut Emit<'_>) -> Result<&'b [u8], ScanError> {
        let [byte, after @ ..] = bytes else { return Ok(bytes) };
        Ok(match byte {
            b'{' => {
                self.open(true, emit)?;
                after
            }
            b'[' => {
                self.open(false, emit)?;
                after
            }
            b'"' => self.string(after, emit),
            b'-' | b'0'..=b'9' => self.number(bytes, emit),
            b't' => self.literal(Literal::True, 1, after, emit)?,
            b'f' => self.literal(Literal::False, 1, after, emit)?,
            b'n' => self.literal(Literal::Null, 1, after, emit)?,
            b'N' => self.literal(Literal::NaN, 1, after, emit)?,
            b'I' => self.literal(Literal::Infinity, 1, after, emit)?,
            _ => return Err(ScanError::UnexpectedByte),
        })
    }

    fn open(&mut self, object: bool, emit: &mut Emit<'_>) -> Result<(), ScanError> {
        let bit = 1 << (self.depth % 64);
        let word = self.objects.get_mut(self.depth / 64).ok_or(ScanError::TooDeep)?;
        *word = if object { *word | bit } else { *word & !bit };
        self.emit(if object { Value::Object } else { Value::Array }, emit);
        self.depth += 1;
        if let Some(level) = self.levels.get_mut(self.depth) {
            *level = self.node;
        }
        self.in_object = object;
        if object {
            self.state = State::FirstKey;
        } else {
            self.node = self.trie.element(self.node);
            self.state = State::FirstElement;
        }
        Ok(())
    }

    fn close(&mut self, emit: &mut Emit<'_>) {
        self.node = self.container();
        self.emit(Value::End, emit);
        self.depth = self.depth.saturating_sub(1);
        let index = self.depth.saturating_sub(1);
        let word = self.objects.get(index / 64);
        self.in_object = word.is_some_and(|word| word & (1 << (index % 64)) != 0);
        self.after_value();
    }

    /// The node of the innermost open container.
    fn container(&self) -> NodeIndex {
        self.levels.get(self.depth).copied().unwrap_or(NodeIndex::NONE)
    }

    /// Reads a key after its opening quote.
    fn key<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let object = self.container();
        if !self.trie.has_children(object) {
            self.node = NodeIndex::NONE;
            return self.skip_string(Role::Key, bytes, false);
        }
        // Fast path: nearly every key is in one chunk and has no escapes, so it needs no copy.
        if let Some((key, [b'"', after @ ..])) = bytes.split_at_checked(end_of_text(bytes)) {
            self.node = self.trie.child(object, key);
            self.state = State::Colon;
            return after;
        }
        self.text.clear();
        self.state = State::Decoded(Role::Key);
        bytes
    }

    /// Reads a string value after its opening quote.
    fn string<'b>(&mut self, bytes: &'b [u8], emit: &mut Emit<'_>) -> &'b [u8] {
        if !self.trie.is_selected(self.node) {
            return self.skip_string(Role::Value, bytes, false);
        }
        if let Some((text, [b'"', after @ ..])) = bytes.split_at_checked(end_of_text(bytes)) {
            self.emit(Value::Str(text.get(..MAX_TEXT).unwrap_or(text)), emit);
            self.after_value();
            return after;
        }
        self.text.clear();
        self.state = State::Decoded(Role::Value);
        bytes
    }

    /// Skips a string that no path selects, or its part in this chunk. Most bytes of a request are in such strings.
    fn skip_string<'b>(&mut self, role: Role, bytes: &'b [u8], escaped: bool) -> &'b [u8] {
        let mut rest = bytes.get(usize::from(escaped)..).unwrap_or_default();
        loop {
            match rest.get(end_of_text(rest)..) {
                Some([b'"', after @ ..]) => {
                    self.end_string(role);
                    return after;
                }
                Some([_, _, after @ ..]) => rest = after,
                left => {
                    self.state = State::Skipped {
                        role,
                        escaped: left.is_some_and(|left| !left.is_empty()),
                    };
                    return &[];
                }
            }
        }
    }

    fn decode_string<'b>(&mut self, role: Role, bytes: &'b [u8], emit: &mut Emit<'_>) -> Result<&'b [u8], ScanError> {
        let (rest, ended) = self.text.read(bytes, MAX_TEXT)?;
        if ended {
            match role {
                // A truncated key is longer than every key of a path.
                Role::Key => self.node = self.trie.child(self.container(), self.text.bytes()),
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

    /// Reads a number from its first byte.
    fn number<'b>(&mut self, bytes: &'b [u8], emit: &mut Emit<'_>) -> &'b [u8] {
        // Fast path: it ends in this chunk and needs no copy.
        match bytes.split_at_checked(end_of_number(bytes)) {
            Some((digits, rest @ [end, ..])) if digits != b"-" || *end != b'I' => {
                self.emit(
                    Value::Number(if digits.len() > MAX_NUMBER { b"" } else { digits }),
                    emit,
                );
                self.after_value();
                rest
            }
            _ => {
                self.text.clear();
                self.state = State::Number;
                self.resume_number(bytes, emit)
            }
        }
    }

    fn resume_number<'b>(&mut self, bytes: &'b [u8], emit: &mut Emit<'_>) -> &'b [u8] {
        let (digits, rest) = bytes.split_at_checked(end_of_number(bytes)).unwrap_or((bytes, &[]));
        self.text.push(digits, MAX_NUMBER);
        match rest.first() {
            None => {}
            Some(b'I') if self.text.bytes() == b"-" => {
                self.state = State::Literal {
                    which: Literal::MinusInfinity,
                    seen: 1,
                };
            }
            Some(_) => {
                let is_kept = !self.text.is_truncated();
                self.emit(Value::Number(if is_kept { self.text.bytes() } else { b"" }), emit);
                self.after_value();
            }
        }
        rest
    }

    fn literal<'b>(
        &mut self,
        which: Literal,
        seen: u8,
        bytes: &'b [u8],
        emit: &mut Emit<'_>,
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

    fn emit(&self, value: Value<'_>, emit: &mut Emit<'_>) {
        if self.trie.is_selected(self.node) {
            emit(self.node, value);
        }
    }

    fn after_value(&mut self) {
        self.state = if self.depth == 0 {
            State::Complete
        } else {
            State::AfterValue
        };
    }
}
