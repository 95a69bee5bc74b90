//! SHA-256, for what must be told apart but not kept.

use ring::digest;

/// A SHA-256.
pub type Sha256 = [u8; 32];

/// The SHA-256 of the bytes.
pub fn sha256(bytes: &[u8]) -> Sha256 {
    let mut hash = Sha256::default();
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// Two hexadecimal digits a byte, with colons between them, as `openssl x509 -fingerprint` writes it.
pub fn fingerprint(bytes: &[u8]) -> String {
    let digits: Vec<_> = sha256(bytes).iter().map(|byte| format!("{byte:02X}")).collect();
    digits.join(":")
}
