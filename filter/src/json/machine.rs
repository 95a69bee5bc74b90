//! The state machine of the grammar. It knows the nodes of the paths but not the readers' identifiers, so all readers share its
//! code: between two requests Envoy pushes it out of the processor's caches, and less code comes back sooner.

use super::literal::Literal;
use super::path::MAX_SEGMENTS;
use super::skip::{end_of_number, end_of_text};
use super::text::Text;
use super::trie::{NodeIndex, Trie};
use super::{BOM, MAX_DEPTH, MAX_NUMBER, MAX_TEXT, Progress, ScanError, Value};

/// What the next byte can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A byte order mark, white space or the top-level value.
    Start,
    /// At the top level only before it.
    Value,
    /// After `[`: a value or `]`.
    FirstElement,
    /// After `{`: a key or `}`.
    FirstKey,
    Key,
    Colon,
    AfterValue,
    /// More of the [`Token`].
    Within,
    /// White space after the top-level value.
    Complete,
    Malformed,
}

/// A token that the fast paths have left unfinished: the chunk has ended in it, or it needs decoding.
#[derive(Clone, Copy, Debug)]
enum Token {
    /// The number of bytes seen of a byte order mark.
    ByteOrderMark(u8),
    /// A string that a path may select.
    Decoded(Role),
    /// Any other string. `escaped`: the last byte was a backslash.
    Skipped {
        role: Role,
        escaped: bool,
    },
    Number,
    /// `true`, `null` or the like, of which `seen` bytes were read.
    Literal {
        which: Literal,
        seen: u8,
    },
}

/// Whether a string is a key or a value.
#[derive(Clone, Copy, Debug)]
enum Role {
    Key,
    Value,
}

/// The rest of the chunk and what comes next.
type Next<'b> = (&'b [u8], State);

/// Receives the values, each with its node.
pub(super) type Emit<'e> = dyn FnMut(NodeIndex, Value<'_>) + 'e;

#[derive(Debug)]
pub(super) struct Machine {
    trie: &'static Trie,
    state: State,
    /// Only in [`State::Within`].
    token: Token,
    /// Only in [`State::Malformed`].
    error: ScanError,
    /// The current or next value.
    node: NodeIndex,
    /// The innermost open container is an object.
    in_object: bool,
    /// Number of open containers.
    depth: u16,
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
            state: State::Start,
            token: Token::Number,
            error: ScanError::UnexpectedByte,
            node: NodeIndex::ROOT,
            in_object: false,
            depth: 0,
            levels: [NodeIndex::NONE; MAX_SEGMENTS + 2],
            objects: [0; MAX_DEPTH / 64],
            text: Text::default(),
        }
    }

    pub(super) fn restart(&mut self) {
        self.state = State::Start;
        self.node = NodeIndex::ROOT;
        self.in_object = false;
        self.depth = 0;
    }

    pub(super) fn progress(&self) -> Progress {
        match (self.state, self.token) {
            (State::Start, _) | (State::Within, Token::ByteOrderMark(_)) => Progress::Empty,
            (State::Value, _) if self.depth == 0 => Progress::Empty,
            (State::Complete, _) => Progress::Complete,
            (State::Malformed, _) => Progress::Malformed(self.error),
            _ => Progress::Incomplete,
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8], emit: &mut Emit<'_>) {
        self.state = self.read(bytes, emit).unwrap_or_else(|error| {
            self.error = error;
            State::Malformed
        });
    }

    /// Reads a chunk and returns what the next one can begin with.
    fn read(&mut self, bytes: &[u8], emit: &mut Emit<'_>) -> Result<State, ScanError> {
        let (mut rest, mut state) = (bytes, self.state);
        while let [byte, after @ ..] = rest {
            (rest, state) = match (state, byte) {
                (State::FirstKey | State::Key, b'"') => match self.key(after) {
                    // Fast path: nearly every key has its colon beside it.
                    ([b':', after @ ..], State::Colon) => (after, State::Value),
                    next => next,
                },
                (State::Value | State::FirstElement, b'"') => self.string(after, emit),
                (State::Value | State::FirstElement, b'{') => {
                    self.open(true, emit)?;
                    (after, State::FirstKey)
                }
                (State::Value | State::FirstElement, b'[') => {
                    self.open(false, emit)?;
                    (after, State::FirstElement)
                }
                (State::Value | State::FirstElement, b'-' | b'0'..=b'9') => self.number(rest, emit),
                (State::Value | State::FirstElement, b'a'..=b'z' | b'A'..=b'Z') => self.word(rest, emit)?,
                (State::AfterValue, b',') if self.in_object => (after, State::Key),
                (State::AfterValue, b',') => {
                    self.node = self.trie.element(self.container());
                    (after, State::Value)
                }
                (State::FirstElement, b']') | (State::FirstKey, b'}') => (after, self.close(emit)),
                (State::AfterValue, b'}') if self.in_object => (after, self.close(emit)),
                (State::AfterValue, b']') if !self.in_object => (after, self.close(emit)),
                (State::Colon, b':') => (after, State::Value),
                // A byte order mark is valid only as the first bytes.
                (State::Start, 0xef) => {
                    self.token = Token::ByteOrderMark(0);
                    (rest, State::Within)
                }
                (State::Start, _) => (rest, State::Value),
                (State::Within, _) => self.resume(rest, emit)?,
                (State::Malformed, _) => return Err(self.error),
                (_, b' ' | b'\t' | b'\n' | b'\r') => (after, state),
                _ => return Err(ScanError::UnexpectedByte),
            };
        }
        Ok(state)
    }

    fn open(&mut self, object: bool, emit: &mut Emit<'_>) -> Result<(), ScanError> {
        let depth = usize::from(self.depth);
        let bit = 1 << (depth % 64);
        let word = self.objects.get_mut(depth / 64).ok_or(ScanError::TooDeep)?;
        *word = if object { *word | bit } else { *word & !bit };
        self.emit(if object { Value::Object } else { Value::Array }, emit);
        self.depth += 1;
        if let Some(level) = self.levels.get_mut(depth + 1) {
            *level = self.node;
        }
        self.in_object = object;
        if !object {
            self.node = self.trie.element(self.node);
        }
        Ok(())
    }

    fn close(&mut self, emit: &mut Emit<'_>) -> State {
        self.node = self.container();
        self.emit(Value::End, emit);
        self.depth = self.depth.saturating_sub(1);
        let index = usize::from(self.depth.saturating_sub(1));
        let word = self.objects.get(index / 64).copied().unwrap_or_default();
        self.in_object = word & (1 << (index % 64)) != 0;
        self.after_value()
    }

    fn after_value(&self) -> State {
        if self.depth == 0 {
            State::Complete
        } else {
            State::AfterValue
        }
    }

    /// The node of the innermost open container.
    fn container(&self) -> NodeIndex {
        let level = self.levels.get(usize::from(self.depth));
        level.copied().unwrap_or(NodeIndex::NONE)
    }

    fn emit(&self, value: Value<'_>, emit: &mut Emit<'_>) {
        if self.trie.is_selected(self.node) {
            emit(self.node, value);
        }
    }

    /// Reads a key after its opening quote.
    fn key<'b>(&mut self, bytes: &'b [u8]) -> Next<'b> {
        let object = self.container();
        if !self.trie.has_children(object) {
            self.node = NodeIndex::NONE;
            return self.skip_string(Role::Key, bytes);
        }
        // Fast path: nearly every key is in one chunk and has no escapes, so it needs no copy.
        match bytes.split_at_checked(end_of_text(bytes)) {
            Some((key, [b'"', after @ ..])) => {
                self.node = self.trie.child(object, key);
                (after, State::Colon)
            }
            _ => self.decode_string(Role::Key, bytes),
        }
    }

    /// Reads a string value after its opening quote.
    fn string<'b>(&mut self, bytes: &'b [u8], emit: &mut Emit<'_>) -> Next<'b> {
        if !self.trie.is_selected(self.node) {
            return self.skip_string(Role::Value, bytes);
        }
        match bytes.split_at_checked(end_of_text(bytes)) {
            Some((text, [b'"', after @ ..])) => {
                emit(self.node, Value::Str(text.get(..MAX_TEXT).unwrap_or(text)));
                (after, self.after_value())
            }
            _ => self.decode_string(Role::Value, bytes),
        }
    }

    fn after_string(&self, role: Role) -> State {
        match role {
            Role::Key => State::Colon,
            Role::Value => self.after_value(),
        }
    }

    /// Skips a string that no path selects, or its part in this chunk. Most bytes of a request are in such strings.
    #[inline(never)]
    fn skip_string<'b>(&mut self, role: Role, bytes: &'b [u8]) -> Next<'b> {
        let mut rest = bytes;
        loop {
            match rest.get(end_of_text(rest)..) {
                Some([b'"', after @ ..]) => return (after, self.after_string(role)),
                Some([_, _, after @ ..]) => rest = after,
                left => {
                    let escaped = left.is_some_and(|left| !left.is_empty());
                    self.token = Token::Skipped { role, escaped };
                    return (&[], State::Within);
                }
            }
        }
    }

    fn number<'b>(&mut self, bytes: &'b [u8], emit: &mut Emit<'_>) -> Next<'b> {
        match bytes.split_at_checked(end_of_number(bytes)) {
            // Fast path: it ends in this chunk and needs no copy.
            Some((digits, rest @ [end, ..])) if *end != b'I' => {
                self.emit(
                    Value::Number(if digits.len() > MAX_NUMBER { b"" } else { digits }),
                    emit,
                );
                (rest, self.after_value())
            }
            _ => {
                self.text.clear();
                self.token = Token::Number;
                (bytes, State::Within)
            }
        }
    }

    fn word<'b>(&mut self, bytes: &'b [u8], emit: &mut Emit<'_>) -> Result<Next<'b>, ScanError> {
        let (value, after) = match bytes {
            [b'n', b'u', b'l', b'l', after @ ..] => (Value::Null, after),
            [b't', b'r', b'u', b'e', after @ ..] => (Value::Bool(true), after),
            [b'f', b'a', b'l', b's', b'e', after @ ..] => (Value::Bool(false), after),
            _ => {
                let which = bytes.first().copied().and_then(Literal::from_first_byte);
                self.token = Token::Literal {
                    which: which.ok_or(ScanError::UnexpectedByte)?,
                    seen: 0,
                };
                return Ok((bytes, State::Within));
            }
        };
        self.emit(value, emit);
        Ok((after, self.after_value()))
    }
}

/// The rest of a token in a new chunk, and strings with escapes.
impl Machine {
    #[cold]
    fn decode_string<'b>(&mut self, role: Role, bytes: &'b [u8]) -> Next<'b> {
        self.text.clear();
        self.token = Token::Decoded(role);
        (bytes, State::Within)
    }

    #[cold]
    #[inline(never)]
    fn resume<'b>(&mut self, bytes: &'b [u8], emit: &mut Emit<'_>) -> Result<Next<'b>, ScanError> {
        match self.token {
            Token::ByteOrderMark(seen) => {
                let missing = BOM.get(usize::from(seen)..).unwrap_or_default();
                if let Some(after) = bytes.strip_prefix(missing) {
                    return Ok((after, State::Value));
                }
                self.token = Token::ByteOrderMark(seen + part_of(missing, bytes)?);
                Ok((&[], State::Within))
            }
            Token::Decoded(role) => {
                let (rest, ended) = self.text.read(bytes, MAX_TEXT)?;
                if !ended {
                    return Ok((rest, State::Within));
                }
                match role {
                    // A truncated key is longer than every key of a path.
                    Role::Key => self.node = self.trie.child(self.container(), self.text.bytes()),
                    Role::Value => self.emit(Value::Str(self.text.bytes()), emit),
                }
                Ok((rest, self.after_string(role)))
            }
            Token::Skipped { role, escaped } => {
                Ok(self.skip_string(role, bytes.get(usize::from(escaped)..).unwrap_or_default()))
            }
            Token::Number => Ok(self.resume_number(bytes, emit)),
            Token::Literal { which, seen } => {
                let (word, value) = which.bytes_and_value();
                let missing = word.get(usize::from(seen)..).unwrap_or_default();
                if let Some(after) = bytes.strip_prefix(missing) {
                    self.emit(value, emit);
                    return Ok((after, self.after_value()));
                }
                self.token = Token::Literal {
                    which,
                    seen: seen + part_of(missing, bytes)?,
                };
                Ok((&[], State::Within))
            }
        }
    }

    fn resume_number<'b>(&mut self, bytes: &'b [u8], emit: &mut Emit<'_>) -> Next<'b> {
        let (digits, rest) = bytes.split_at_checked(end_of_number(bytes)).unwrap_or((bytes, &[]));
        self.text.push(digits, MAX_NUMBER);
        match rest.first() {
            None => (rest, State::Within),
            Some(b'I') if self.text.bytes() == b"-" => {
                self.token = Token::Literal {
                    which: Literal::MinusInfinity,
                    seen: 1,
                };
                (rest, State::Within)
            }
            Some(_) => {
                let is_kept = !self.text.is_truncated();
                self.emit(Value::Number(if is_kept { self.text.bytes() } else { b"" }), emit);
                (rest, self.after_value())
            }
        }
    }
}

/// The length of a chunk that ends before what is missing of a word.
fn part_of(missing: &[u8], chunk: &[u8]) -> Result<u8, ScanError> {
    if missing.starts_with(chunk) {
        Ok(chunk.len() as u8)
    } else {
        Err(ScanError::UnexpectedByte)
    }
}
