//! Environment variables that Kubernetes sets and that have the names of ours.
//!
//! For each Service of its namespace, a container has variables such as `INFERTALLY_METRICS_PORT=tcp://10.0.0.1:9090` (of
//! the Service `infertally-metrics`), unless `enableServiceLinks` is false. No flag takes such a value, so they are ignored
//! rather than fatal. Their other forms, such as `INFERTALLY_METRICS_SERVICE_HOST`, have names that no flag has.

use std::ffi::OsString;

use clap::builder::Resettable;
use clap::{Arg, ArgMatches, Command, CommandFactory as _, FromArgMatches as _};

use super::Cli;

/// A variable of a Service that has the name of a flag's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceLink {
    /// Of the variable.
    pub name: String,
    /// As in `tcp://10.0.0.1:9090`.
    pub value: String,
}

/// Parses a command line. Variables in the form of service links are ignored and returned: those that the role would read.
///
/// # Errors
/// Help, version, or what is invalid.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<(Cli, Vec<ServiceLink>), clap::Error> {
    let mut command = without_service_links(Cli::command());
    let matches = command.clone().try_get_matches_from(arguments)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    Ok((cli, ignored(&Cli::command(), &matches)))
}

fn without_service_links(command: Command) -> Command {
    let reset = |arg: Arg| match service_link(&arg) {
        Some(_) => arg.env(Resettable::Reset),
        None => arg,
    };
    command.mut_args(reset).mut_subcommands(without_service_links)
}

/// The service links among the variables of the command and of the subcommand that was given.
fn ignored(command: &Command, matches: &ArgMatches) -> Vec<ServiceLink> {
    let mut links: Vec<_> = command.get_arguments().filter_map(service_link).collect();
    if let Some((name, matches)) = matches.subcommand()
        && let Some(subcommand) = command.find_subcommand(name)
    {
        links.extend(ignored(subcommand, matches));
    }
    links
}

fn service_link(arg: &Arg) -> Option<ServiceLink> {
    let name = arg.get_env()?.to_str()?;
    let value = std::env::var(name).ok().filter(|value| is_service_link(value))?;
    Some(ServiceLink {
        name: name.to_owned(),
        value,
    })
}

/// As kubelet writes it: a protocol that Services have, an IP address and a port.
fn is_service_link(value: &str) -> bool {
    let Some((protocol, address)) = value.split_once("://") else {
        return false;
    };
    matches!(protocol, "tcp" | "udp" | "sctp")
        && address
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_links_are_recognized_by_their_form() {
        for link in [
            "tcp://10.0.0.1:9090",
            "udp://10.0.0.1:53",
            "tcp://[fd00::1]:9090",
            "sctp://10.0.0.1:1",
        ] {
            assert!(is_service_link(link), "{link}");
        }
        for other in [
            "",
            "9090",
            "0.0.0.0:9090",
            "http://10.0.0.1:9090",
            "tcp://10.0.0.1",
            "tcp://10.0.0.1:x",
        ] {
            assert!(!is_service_link(other), "{other}");
        }
    }
}
