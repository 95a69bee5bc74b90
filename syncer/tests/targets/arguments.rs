//! Combinations of arguments and files that cannot work end with exit code 64 and say what is wrong.

use std::process::Command;

use infertally_harness::Mount;

use crate::BINARY;
use crate::pki::{Ca, Pair};

fn fails(arguments: &[&str], message: &str) {
    let done = Command::new(BINARY)
        .arg("pool")
        .args(arguments)
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output()
        .unwrap();
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(64), "{arguments:?}: {stderr}");
    assert!(stderr.contains(message), "{arguments:?}: {stderr}");
}

#[test]
fn combinations_that_cannot_work_are_usage_errors() {
    for (arguments, message) in [
        (
            "--target http://h:1 --metrics-port 8002",
            "--metrics-port requires --kubernetes",
        ),
        ("--dns h:1 --metrics-port 8002", "--metrics-port requires --kubernetes"),
        ("--kubernetes p --metrics-port 0", "--metrics-port"),
        ("--kubernetes p --metrics-port 65536", "--metrics-port"),
        ("--kubernetes p --metrics-scheme ftp", "possible values: http, https"),
        ("--kubernetes p --metrics-path m", "begins with '/'"),
        (
            "--target https://h:1 --metrics-scheme https",
            "--metrics-scheme requires --kubernetes or --dns",
        ),
        (
            "--target https://h:1 --target-cert-file f",
            "--target-cert-file and --target-key-file require each other",
        ),
        (
            "--target https://h:1 --target-key-file f",
            "--target-cert-file and --target-key-file require each other",
        ),
        (
            "--target https://h:1 --target-ca-file f --target-insecure-skip-verify",
            "--target-insecure-skip-verify and --target-ca-file exclude each other",
        ),
        (
            "--target https://h:1 --target-token-over-http",
            "--target-token-over-http requires --target-token-file",
        ),
        (
            "--target http://h:1 --target-token-file f",
            "all targets are http, and the token is sent over http only with --target-token-over-http",
        ),
        ("--dns h:1 --target-token-file f", "all targets are http"),
        (
            "--target https://h:1 --target-server-name not/a/name",
            "expected a DNS name or an IP address",
        ),
        (
            "--dns a..b:1 --metrics-scheme https",
            "no certificate can have this name; set --target-server-name",
        ),
    ] {
        fails(&arguments.split(' ').collect::<Vec<_>>(), message);
    }
}

#[test]
fn files_that_cannot_be_used_at_the_start_are_named() {
    let ca = Ca::new("ours");
    let (a, b) = (ca.sign(&["a"]), ca.sign(&["b"]));
    let files = Mount::new().unwrap();
    let mixed = Pair::mixed(&a, &b);
    let content = [
        ("empty", ""),
        ("a.crt", &mixed.certificate),
        ("b.key", &mixed.key),
        ("two-words", "a b"),
        ("binary", "a\u{7f}"),
    ];
    files.mount("1", &content).unwrap();
    let path = |name: &str| files.path(name).to_str().unwrap().to_owned();
    for (flags, message) in [
        (
            "--target-ca-file=empty",
            "empty cannot be used: it holds no certificate",
        ),
        (
            "--target-ca-file=b.key",
            "b.key cannot be used: it holds no certificate",
        ),
        ("--target-ca-file=missing", "missing cannot be used: No such file"),
        ("--envoy-ca-file=missing", "missing cannot be used: No such file"),
        ("--target-token-file=missing", "missing cannot be read: No such file"),
        ("--target-token-file=empty", "empty: not one token of visible ASCII"),
        (
            "--target-token-file=two-words",
            "two-words: not one token of visible ASCII",
        ),
        ("--target-token-file=binary", "binary: not one token of visible ASCII"),
        (
            "--target-cert-file=a.crt --target-key-file=b.key",
            "b.key cannot be used: keys may not be consistent",
        ),
        (
            "--target-cert-file=a.crt --target-key-file=a.crt",
            "a.crt: no items found",
        ),
        (
            "--target-cert-file=b.key --target-key-file=b.key",
            "b.key: it holds no certificate",
        ),
    ] {
        let mut arguments = vec!["--target=https://h:1".to_owned()];
        arguments.extend(flags.split(' ').map(|flag| {
            let (flag, name) = flag.split_once('=').unwrap();
            format!("{flag}={}", path(name))
        }));
        fails(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), message);
    }
}
