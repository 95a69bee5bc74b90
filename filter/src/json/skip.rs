//! The search for the end of a string or number.
//!
//! Text is searched 16 bytes at a time. There is no set-up: most strings are short, and the search starts again after each
//! escape.

const BLOCK: usize = 16;

/// The position of the first quote or backslash, or the number of bytes.
#[inline(never)]
pub(super) fn end_of_text(bytes: &[u8]) -> usize {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut at = 0;
    for block in blocks {
        if let Some(end) = first_in_block(block) {
            return at + end;
        }
        at += BLOCK;
    }
    for byte in rest {
        if matches!(byte, b'"' | b'\\') {
            break;
        }
        at += 1;
    }
    at
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
fn first_in_block(block: &[u8; BLOCK]) -> Option<usize> {
    use core::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_splat, u64x2, v128_or};
    let block = u128::from_le_bytes(*block);
    // One load.
    let block = u64x2(block as u64, (block >> 64) as u64);
    let ends = v128_or(u8x16_eq(block, u8x16_splat(b'"')), u8x16_eq(block, u8x16_splat(b'\\')));
    let ends = u8x16_bitmask(ends);
    (ends != 0).then_some(ends.trailing_zeros() as usize)
}

/// Compilers make it as wide as the target allows.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
fn first_in_block(block: &[u8; BLOCK]) -> Option<usize> {
    let ends = block.map(|byte| if byte == b'"' || byte == b'\\' { 0xff } else { 0 });
    let ends = u128::from_le_bytes(ends);
    (ends != 0).then_some(ends.trailing_zeros() as usize / 8)
}

/// The position of the first byte that is in no number, or the number of bytes.
pub(super) fn end_of_number(bytes: &[u8]) -> usize {
    let mut at = 0;
    for byte in bytes {
        if !matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E') {
            break;
        }
        at += 1;
    }
    at
}
