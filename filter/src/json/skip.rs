//! The search for the end of a string or number, 16 bytes at a time.
//!
//! It is plain code that compilers turn into SIMD, here and for `wasm32`, without the set-up of a general search: most strings
//! are short, and the search starts again after each escape.

/// Most keys and values end in the first of them.
const BLOCK: usize = 16;

/// The position of the first quote or backslash, or the number of bytes.
pub(super) fn end_of_text(bytes: &[u8]) -> usize {
    position(bytes, |byte| byte == b'"' || byte == b'\\')
}

/// The position of the first byte that is in no number, or the number of bytes.
pub(super) fn end_of_number(bytes: &[u8]) -> usize {
    position(bytes, |byte| {
        !(byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+') || byte | 0x20 == b'e')
    })
}

#[inline(always)]
fn position(bytes: &[u8], is_end: impl Fn(u8) -> bool) -> usize {
    let (blocks, tail) = bytes.as_chunks::<BLOCK>();
    let mut at = 0;
    for block in blocks {
        // Without a branch for each byte.
        let ends = u128::from_le_bytes(block.map(|byte| if is_end(byte) { 0xff } else { 0 }));
        if ends != 0 {
            return at + ends.trailing_zeros() as usize / 8;
        }
        at += BLOCK;
    }
    at + tail.iter().position(|byte| is_end(*byte)).unwrap_or(tail.len())
}
