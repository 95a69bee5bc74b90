//! The encoding of model names as label values.

use std::fmt::Write;
use std::rc::Rc;

/// A longer model name is truncated to this many bytes.
const MAX_MODEL_NAME: usize = 256;

/// A model name as a label value. Cheap to clone.
///
/// The encoding is unambiguous and can't be confused with the syntax of a stat name: `%`, `;`, `=`, `"`, `\`, control
/// characters, a trailing dot, and bytes that are not UTF-8 are percent-encoded. A client's own `other` or `unknown`
/// becomes `%6Fther`, `%75nknown`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelLabel(Rc<str>);

// === impl ModelLabel ===

impl ModelLabel {
    const OTHER: &'static str = "other";
    const UNKNOWN: &'static str = "unknown";

    /// The value for every name that is not admitted.
    pub(crate) fn other() -> Self {
        Self(Rc::from(Self::OTHER))
    }

    /// The value if neither the request nor the response names a model.
    pub(crate) fn unknown() -> Self {
        Self(Rc::from(Self::UNKNOWN))
    }

    /// Encodes a name as received, up to [`MAX_MODEL_NAME`] bytes of it.
    pub(crate) fn new(name: &[u8]) -> Self {
        let mut value = String::with_capacity(name.len());
        for chunk in truncate(name).utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '%' | ';' | '=' | '"' | '\\' | '\0'..='\x1f' | '\x7f' => escape(&mut value, character as u8),
                    _ => value.push(character),
                }
            }
            for byte in chunk.invalid() {
                escape(&mut value, *byte);
            }
        }
        // Envoy strips trailing dots from a tag value.
        if value.ends_with('.') {
            value.pop();
            escape(&mut value, b'.');
        }
        if value == Self::OTHER || value == Self::UNKNOWN {
            let first = value.remove(0);
            let rest = std::mem::take(&mut value);
            escape(&mut value, first as u8);
            value.push_str(&rest);
        }
        Self(value.into())
    }

    /// A value that [`Self::new`] has encoded.
    pub(crate) fn from_encoded(value: &str) -> Self {
        Self(value.into())
    }

    /// The encoded value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ModelLabel {
    fn default() -> Self {
        Self::unknown()
    }
}

fn escape(value: &mut String, byte: u8) {
    // Writing to a `String` can't fail.
    _ = write!(value, "%{byte:02X}");
}

/// Cuts a name at a character boundary.
fn truncate(name: &[u8]) -> &[u8] {
    let continues = |at: &usize| name.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let cut = (MAX_MODEL_NAME - 3..=MAX_MODEL_NAME)
        .rev()
        .find(|at| !continues(at))
        .unwrap_or(MAX_MODEL_NAME);
    name.get(..cut).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn label(name: impl AsRef<[u8]>) -> String {
        ModelLabel::new(name.as_ref()).as_str().to_owned()
    }

    #[test]
    fn ordinary_names_are_unchanged() {
        for name in [
            "tiny",
            "meta-llama/Llama-3.1-8B-Instruct",
            "a b:c@d+e,f|g{h}'",
            "模型-ü",
            "kv-cache.q4.gguf",
            "other2",
        ] {
            assert_eq!(label(name), name);
        }
    }

    #[test]
    fn label_syntax_is_percent_encoded() {
        assert_eq!(label("a;.;le=.=1"), "a%3B.%3Ble%3D.%3D1");
        assert_eq!(label("a%3B"), "a%253B");
        assert_eq!(label("\"\\\n\r\t\0\x7f"), "%22%5C%0A%0D%09%00%7F");
        assert_eq!(label(b"a\xff\xc3("), "a%FF%C3(");
        assert_eq!(label("a..b.."), "a..b.%2E");
    }

    #[test]
    fn client_names_never_equal_a_reserved_value() {
        assert_eq!(label("other"), "%6Fther");
        assert_eq!(label("unknown"), "%75nknown");
        assert_eq!(ModelLabel::other().as_str(), "other");
        assert_eq!(ModelLabel::unknown().as_str(), "unknown");
    }

    #[test]
    fn long_name_is_cut_at_a_character_boundary() {
        assert_eq!(label("x".repeat(MAX_MODEL_NAME)).len(), MAX_MODEL_NAME);
        assert_eq!(label("x".repeat(5000)).len(), MAX_MODEL_NAME);
        for shift in 0..4 {
            let name = "x".repeat(shift) + &"\u{1f600}".repeat(100);
            let cut = label(&name);
            assert!(name.starts_with(&cut) && cut.len() > MAX_MODEL_NAME - 4, "{cut}");
        }
        // The limit counts bytes before encoding.
        assert_eq!(label([0x80; 300]), "%80".repeat(MAX_MODEL_NAME));
    }
}
