//! Small files that others replace while we run: read whole, at once, and never more than a cap.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;

use tokio::fs::File;
use tokio::io::AsyncReadExt;

/// The bytes of the file, symbolic links followed.
///
/// # Errors
/// As the system has them, and [`ErrorKind::FileTooLarge`] past `cap` bytes.
pub async fn read(path: &Path, cap: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).await?.take(cap + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > cap {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("more than {cap} bytes")));
    }
    Ok(bytes)
}
