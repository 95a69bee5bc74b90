//! Prometheus' own judgement of pages and rules.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::Result;

/// Has `promtool check metrics`, the binary of `$PROMTOOL`, judge a page in the text format.
///
/// # Errors
/// What it has to say against the page, be it only a matter of style.
pub fn check_metrics(page: &str) -> Result<()> {
    let (success, said) = judge("metrics", page)?;
    if success && said.is_empty() {
        return Ok(());
    }
    Err(said.into())
}

/// Has `promtool check rules` judge a file of rules.
///
/// # Errors
/// What it has to say against them.
pub fn check_rules(rules: &str) -> Result<()> {
    let (success, said) = judge("rules", rules)?;
    if success {
        return Ok(());
    }
    Err(said.into())
}

/// Whether `promtool check` is content, and what it said.
fn judge(what: &str, text: &str) -> Result<(bool, String)> {
    let binary = std::env::var_os("PROMTOOL").ok_or("PROMTOOL is not set: run these tests by `make test`")?;
    let mut promtool = Command::new(binary)
        .args(["check", what])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // Dropped at once, for it reads to the end.
    promtool.stdin.take().ok_or("no stdin")?.write_all(text.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}
