//! Processes that reserve ports at the same time never share one.
#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use infertally_harness::ports::Port;

const PROCESSES: usize = 4;
const PORTS: usize = 100;
/// Makes this test's own binary reserve ports instead.
const CHILD: &str = "INFERTALLY_RESERVES_PORTS";

/// Reserves ports, prints them, and holds them until stdin ends.
fn reserve_and_hold() {
    let ports: Vec<_> = (0..PORTS).map(|_| Port::reserve().unwrap()).collect();
    let numbers: Vec<_> = ports.iter().map(|port| port.number().to_string()).collect();
    let mut stderr = std::io::stderr();
    writeln!(stderr, "{}", numbers.join(" ")).unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn start() -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes_never_share_a_port", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn processes_never_share_a_port() {
    if std::env::var_os(CHILD).is_some() {
        reserve_and_hold();
        return;
    }
    let mut processes: Vec<_> = (0..PROCESSES).map(|_| start()).collect();
    let mut numbers = Vec::new();
    for process in &mut processes {
        let mut line = String::new();
        BufReader::new(process.stderr.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        numbers.extend(line.split_whitespace().map(|number| number.parse::<u16>().unwrap()));
    }
    for process in &mut processes {
        drop(process.stdin.take());
        assert!(process.wait().unwrap().success());
    }
    assert_eq!(numbers.len(), PROCESSES * PORTS);
    assert_eq!(
        numbers.iter().collect::<BTreeSet<_>>().len(),
        numbers.len(),
        "{numbers:?}"
    );
}
