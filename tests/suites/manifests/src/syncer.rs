//! Checks command lines and containers of the syncer with its own argument parser.

use clap::Parser as _;
use infertally_syncer::cli::{Cli, Role};
use serde_json::Value;

use crate::yaml::text;

/// Parses arguments, without the program's name.
///
/// # Errors
/// The syncer's own usage errors.
pub fn accepts<S: Into<String>>(arguments: impl IntoIterator<Item = S>) -> Result<(), String> {
    let arguments = arguments.into_iter().map(Into::into);
    let words: Vec<String> = std::iter::once("infertally-syncer".to_owned())
        .chain(arguments)
        .collect();
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    let errors = if let Role::Pool(args) = &cli.role {
        args.usage_errors()
    } else if let Role::Lora(args) = &cli.role {
        args.usage_errors()
    } else {
        Vec::new()
    };
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors.join("; "))
    }
}

/// Parses a container's arguments, and its variables as the flags that they stand for.
///
/// # Errors
/// The syncer's own usage errors, or a variable that it does not have.
pub fn accepts_container(container: &Value) -> Result<(), String> {
    let list = |name: &str| container.get(name).and_then(Value::as_array).into_iter().flatten();
    let mut arguments: Vec<String> = list("args")
        .map(|argument| argument.as_str().unwrap_or_default().to_owned())
        .collect();
    for variable in list("env") {
        let (name, value) = (text(variable, "/name"), text(variable, "/value"));
        let flag = match name.strip_prefix("INFERTALLY_") {
            Some(flag) => flag.to_lowercase().replace('_', "-"),
            None if name == "DYNAMIC_LORA_ROLLOUT_CONFIG" => "config".to_owned(),
            None => return Err(format!("{name}: not a variable of the syncer")),
        };
        arguments.push(format!("--{flag}={value}"));
    }
    accepts(arguments)
}
