//! Prometheus' own judgement of pages, rules and configurations.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;

/// Has `promtool check metrics`, the binary of `$PROMTOOL`, judge a page in the text format.
///
/// # Errors
/// What it has to say against the page, be it only a matter of style.
pub fn check_metrics(page: &str) -> Result<()> {
    match check("metrics", page)? {
        (true, said) if said.is_empty() => Ok(()),
        (_, said) => Err(said.into()),
    }
}

/// Has `promtool check rules` judge rules.
///
/// # Errors
/// What it has to say against them.
pub fn check_rules(rules: &str) -> Result<()> {
    match check("rules", rules)? {
        (true, _) => Ok(()),
        (false, said) => Err(said.into()),
    }
}

/// Whether `promtool check` is content with a text, and all that it said.
fn check(what: &str, text: &str) -> Result<(bool, String)> {
    let mut promtool = command()?
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

/// Runs the binary of `$PROMTOOL` on a file.
///
/// # Errors
/// What it said, if it was not content.
pub fn run(arguments: &[&str], file: &Path) -> Result<()> {
    let output = command()?.args(arguments).arg(file).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{}: {}", output.status, String::from_utf8_lossy(&said)).into())
}

fn command() -> Result<Command> {
    let binary = std::env::var_os("PROMTOOL").ok_or("PROMTOOL is not set: run these tests by `make test`")?;
    Ok(Command::new(binary))
}
