//! Whether bytes are one JSON document, and its tree.

use serde::de::IgnoredAny;

use crate::Undecidable;
use crate::tree::Tree;

/// A number of more digits counts as none, whatever its value.
const MAX_DIGITS: usize = 64;
/// `serde_json` gives up one level deeper.
const MAX_DEPTH: usize = 127;

/// How far bytes are one JSON document.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// They are.
    Complete(Tree),
    /// They end before the document does. An empty document is incomplete, too.
    Incomplete,
    /// No document begins with them.
    Malformed,
}

// === impl Document ===

impl Document {
    /// Parses them.
    ///
    /// # Errors
    /// For what `serde_json` cannot judge: JSON that only lenient parsers accept, documents that are nested deeper than
    /// it goes, numbers too long to be kept, and a lone number, which is complete only when something follows it.
    pub fn parse(bytes: &[u8]) -> Result<Self, Undecidable> {
        let undecidable = |what: &str| Err(Undecidable(format!("{what}: {}", String::from_utf8_lossy(bytes))));
        let is_other = |byte: &u8| !matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
        if bytes.split(is_other).any(|digits| digits.len() > MAX_DIGITS) {
            return undecidable("a number of many digits");
        }
        match Tree::parse(bytes) {
            Some(Tree::Number(_)) => return undecidable("a lone number"),
            Some(tree) => return Ok(Self::Complete(tree)),
            None => {}
        }
        match validate(bytes) {
            Some(Ok(())) => undecidable("JSON to lenient parsers only"),
            Some(Err(error)) if error.is_eof() => Ok(Self::Incomplete),
            Some(Err(_)) => Ok(Self::Malformed),
            None => undecidable("deeply nested JSON, or an unknown literal"),
        }
    }
}

/// Whether this is a document to a reader that wants none of its values. `None` where it is nested deeper than
/// `serde_json` goes.
pub fn is_json(document: &[u8]) -> Option<bool> {
    Some(validate(document)?.is_ok())
}

fn validate(document: &[u8]) -> Option<serde_json::Result<()>> {
    Some(serde_json::from_slice::<IgnoredAny>(&skeleton(document)?).map(drop))
}

/// The document with its strings emptied, its numbers replaced by 0, and without what only Python's parsers accept.
/// `serde_json` accepts the skeleton if and only if a lenient reader accepts the document. `None` if it is nested deeper
/// than `serde_json` goes.
fn skeleton(document: &[u8]) -> Option<Vec<u8>> {
    let mut rest = document.strip_prefix("\u{feff}".as_bytes()).unwrap_or(document);
    let mut skeleton = Vec::new();
    let mut depth: usize = 0;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => {
                skeleton.push(b'"');
                loop {
                    match rest {
                        [b'\\', _, after @ ..] => rest = after,
                        [b'"', after @ ..] => {
                            rest = after;
                            skeleton.push(b'"');
                            break;
                        }
                        [_, after @ ..] => rest = after,
                        [] => break,
                    }
                }
            }
            b'-' | b'0'..=b'9' => match rest.strip_prefix(b"Infinity") {
                Some(after) if byte == b'-' => {
                    rest = after;
                    skeleton.extend(b"null");
                }
                _ => {
                    skeleton.push(b'0');
                    while let [b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E', after @ ..] = rest {
                        rest = after;
                    }
                }
            },
            b'N' | b'I' => {
                let literal = if byte == b'N' { &b"aN"[..] } else { b"nfinity" };
                rest = rest.strip_prefix(literal)?;
                skeleton.extend(b"null");
            }
            _ => {
                depth = match byte {
                    b'{' | b'[' => depth + 1,
                    b'}' | b']' => depth.saturating_sub(1),
                    _ => depth,
                };
                skeleton.push(byte);
            }
        }
        if depth > MAX_DEPTH {
            return None;
        }
    }
    Some(skeleton)
}
