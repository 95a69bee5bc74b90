//! Content codings, decoded with flate2 on complete bodies.

use std::borrow::Cow;
use std::io::{ErrorKind, Read};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// The method of zlib's format, in the lower half of its first byte.
const ZLIB_METHOD: u8 = 8;
/// The first bytes of gzip's format.
const GZIP: &[u8] = b"\x1f\x8b";

/// Decodes a body, as far as it was received; `None` if the coding is unknown, or is not the body's.
pub(crate) fn decode<'a>(content_encoding: Option<&str>, body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let coding = content_encoding.unwrap_or_default().trim().to_ascii_lowercase();
    match coding.as_str() {
        "" | "identity" => Some(Cow::Borrowed(body)),
        "gzip" | "x-gzip" if body.iter().zip(GZIP).all(|(byte, magic)| byte == magic) => {
            read(MultiGzDecoder::new(body))
        }
        // Some servers send the bare deflate stream.
        "deflate" if body.first().is_some_and(|byte| byte & 0x0f != ZLIB_METHOD) => read(DeflateDecoder::new(body)),
        "deflate" => read(ZlibDecoder::new(body)),
        _ => None,
    }
}

fn read(mut decoder: impl Read) -> Option<Cow<'static, [u8]>> {
    let mut plain = Vec::new();
    match decoder.read_to_end(&mut plain) {
        Ok(_) => Some(Cow::Owned(plain)),
        // The body is truncated; what was decoded counts.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Some(Cow::Owned(plain)),
        Err(_) => None,
    }
}
