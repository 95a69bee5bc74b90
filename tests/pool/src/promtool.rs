//! Prometheus' own judgement of a page.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::Result;

/// Has `promtool check metrics`, the binary of `$PROMTOOL`, judge a page in the text format.
///
/// # Errors
/// What it has to say against the page, be it only a matter of style.
pub fn check_metrics(page: &str) -> Result<()> {
    let binary = std::env::var_os("PROMTOOL").ok_or("PROMTOOL is not set: run these tests by `make test`")?;
    let mut promtool = Command::new(binary)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // Dropped at once, for it reads to the end.
    promtool.stdin.take().ok_or("no stdin")?.write_all(page.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() && said.is_empty() {
        return Ok(());
    }
    Err(format!("{}: {}", output.status, String::from_utf8_lossy(&said)).into())
}
