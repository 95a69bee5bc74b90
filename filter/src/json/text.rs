//! A buffer that decodes the current string across chunks, truncated to a limit.

use super::ScanError;
use super::skip::end_of_text;

/// Replaces an unpaired surrogate, which UTF-8 can't represent.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

#[derive(Debug, Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    truncated: bool,
    escape: Escape,
    /// A high surrogate whose low surrogate has not been read.
    high: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Escape {
    #[default]
    None,
    Backslash,
    Unicode {
        digits: u8,
        code: u16,
    },
}

// === impl Text ===

impl Text {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.truncated = false;
        self.escape = Escape::None;
        self.high = None;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Reads up to the closing quote and keeps up to `cap` bytes. Returns the rest of the chunk and whether the quote was
    /// reached.
    pub(super) fn read<'b>(&mut self, bytes: &'b [u8], cap: usize) -> Result<(&'b [u8], bool), ScanError> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            match self.escape {
                Escape::None => {
                    let (text, from_end) = rest.split_at(end_of_text(rest));
                    if !text.is_empty() {
                        self.flush_surrogate(cap);
                        self.push(text, cap);
                    }
                    match from_end.split_first() {
                        Some((b'"', after)) => {
                            self.flush_surrogate(cap);
                            return Ok((after, true));
                        }
                        Some((_, after)) => {
                            self.escape = Escape::Backslash;
                            rest = after;
                        }
                        None => rest = from_end,
                    }
                }
                Escape::Backslash => {
                    self.backslash(byte, cap)?;
                    rest = after;
                }
                Escape::Unicode { digits, code } => {
                    let digit = char::from(byte).to_digit(16).ok_or(ScanError::UnexpectedByte)?;
                    let code = code << 4 | digit as u16;
                    self.escape = Escape::Unicode {
                        digits: digits + 1,
                        code,
                    };
                    if digits == 3 {
                        self.escape = Escape::None;
                        self.unit(code, cap);
                    }
                    rest = after;
                }
            }
        }
        Ok((rest, false))
    }

    fn backslash(&mut self, byte: u8, cap: usize) -> Result<(), ScanError> {
        let decoded = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                self.escape = Escape::Unicode { digits: 0, code: 0 };
                return Ok(());
            }
            _ => return Err(ScanError::UnexpectedByte),
        };
        self.escape = Escape::None;
        self.flush_surrogate(cap);
        self.push(&[decoded], cap);
        Ok(())
    }

    /// Decodes one UTF-16 code unit of a `\u` escape.
    fn unit(&mut self, code: u16, cap: usize) {
        let pair = self.high.take();
        match (pair, code) {
            (Some(high), 0xdc00..=0xdfff) => {
                let decoded = char::decode_utf16([high, code]).next();
                self.push_char(decoded.and_then(Result::ok).unwrap_or(REPLACEMENT), cap);
            }
            (pair, code) => {
                if pair.is_some() {
                    self.push_char(REPLACEMENT, cap);
                }
                if (0xd800..=0xdbff).contains(&code) {
                    self.high = Some(code);
                } else {
                    self.push_char(char::from_u32(u32::from(code)).unwrap_or(REPLACEMENT), cap);
                }
            }
        }
    }

    fn flush_surrogate(&mut self, cap: usize) {
        if self.high.take().is_some() {
            self.push_char(REPLACEMENT, cap);
        }
    }

    fn push_char(&mut self, decoded: char, cap: usize) {
        self.push(decoded.encode_utf8(&mut [0; 4]).as_bytes(), cap);
    }

    /// Appends the bytes that fit below `cap`. Also buffers numbers.
    pub(super) fn push(&mut self, bytes: &[u8], cap: usize) {
        let room = cap.saturating_sub(self.bytes.len());
        self.truncated |= bytes.len() > room;
        self.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}
