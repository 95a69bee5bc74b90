//! `promtool`, the binary of `$PROMTOOL`, on pages, rules and configurations.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;
use crate::process::program;

/// Runs `promtool check metrics` on a page in the text format.
///
/// # Errors
/// Its errors, and its remarks on style.
pub fn check_metrics(page: &str) -> Result<()> {
    match check("metrics", page)? {
        (true, output) if output.is_empty() => Ok(()),
        (_, output) => Err(output.into()),
    }
}

/// Runs `promtool check rules` on rules.
///
/// # Errors
/// Its errors.
pub fn check_rules(rules: &str) -> Result<()> {
    match check("rules", rules)? {
        (true, _) => Ok(()),
        (false, output) => Err(output.into()),
    }
}

/// Whether `promtool check` succeeds, and its output.
fn check(what: &str, text: &str) -> Result<(bool, String)> {
    let mut promtool = command()?
        .args(["check", what])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // Dropped at once, because promtool reads to the end.
    promtool.stdin.take().ok_or("no stdin")?.write_all(text.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// Runs `promtool` on a file.
///
/// # Errors
/// Its output, if it fails.
pub fn run(arguments: &[&str], file: &Path) -> Result<()> {
    let output = command()?.args(arguments).arg(file).output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(format!("{}: {}", output.status, String::from_utf8_lossy(&text)).into())
}

fn command() -> Result<Command> {
    Ok(Command::new(program("PROMTOOL")?))
}
