//! The page of metrics as bytes.

use std::io::{Result, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::exposition::{Family, Format, encode};

/// Writes the families, and compresses them if that is wanted: fast, because it is done anew for each scrape.
///
/// # Errors
/// The compressor's; it has none for what stays in memory.
pub fn render(families: &[Family], format: Format, gzip: bool) -> Result<Bytes> {
    let mut page = String::new();
    encode(families, format, &mut page);
    if !gzip {
        return Ok(page.into());
    }
    let mut compressed = GzEncoder::new(Vec::new(), Compression::fast());
    compressed.write_all(page.as_bytes())?;
    Ok(compressed.finish()?.into())
}
