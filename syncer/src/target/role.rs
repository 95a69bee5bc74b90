//! [`Role`], what a pod of a disaggregated pool does: `prefill`, `decode` or a name of the user's own.

use std::str::FromStr;
use std::sync::Arc;

/// Kubernetes' limit for a label value.
const MAX_BYTES: usize = 63;
/// Characters of an invalid text that its error quotes.
const MAX_QUOTE: usize = 80;

/// The value of the label `role`: a label value as Kubernetes defines it, and not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role(Arc<str>);

/// A text that is not a role, or its beginning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid role {0:?}: expected up to 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends")]
pub struct InvalidRole(String);

// === impl Role ===

impl Role {
    /// The label value.
    pub fn label(&self) -> &Arc<str> {
        &self.0
    }
}

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        let bytes = text.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        let valid = bytes.len() <= MAX_BYTES
            && ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
            && bytes
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
        match valid {
            true => Ok(Self(Arc::from(text))),
            false => Err(InvalidRole(text.chars().take(MAX_QUOTE).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_a_label_value_of_kubernetes() {
        let longest = "r".repeat(MAX_BYTES);
        for text in ["prefill", "decode", "prefill-decode", "Encode_2.x", "7", &longest] {
            assert_eq!(&**text.parse::<Role>().unwrap().label(), text);
        }
        let too_long = "r".repeat(MAX_BYTES + 1);
        for text in ["", "-a", "a.", "a b", "a\"b", "a\nb", "ä", "a,b", "a/b", &too_long] {
            assert_eq!(text.parse::<Role>(), Err(InvalidRole(text.to_owned())));
        }
    }
}
