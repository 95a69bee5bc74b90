//! Several servers: one status for all, and none waits for another.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::sync::Arc;

use infertally_harness::ports::Port;
use infertally_sim::{Sim, SimConfig};
use tokio::task::spawn_blocking;

use crate::support::{
    Config, lines_with, run, server, start, take_operations, wait_for_operations, wait_for_polls, wait_for_status,
    yaml_of,
};

#[tokio::test]
async fn status_is_1_when_every_server_has_the_adapter() {
    let port = Port::reserve().unwrap();
    let listening = || SimConfig {
        listen: port.address(),
        ..SimConfig::default()
    };
    let (first, second) = (server().await, Sim::start(listening()).await.unwrap());
    second.set_behaviour("/v1/load_lora_adapter#bad", "status=500").unwrap();
    let config = Config::new();
    config.write(&yaml_of(&[&first, &second], "+a=/a +bad=/bad -old"));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    wait_for_status(&syncer, "bad", 0, "load_failed").await;
    wait_for_status(&syncer, "old", 0, "excluded").await;
    let line = format!("load failed: server http://{}/: 500", second.addr());
    assert_eq!(lines_with(&syncer, &line), 1, "{}", syncer.log());
    assert_eq!(take_operations(&first), ["load a /a", "load bad /bad"]);
    assert_eq!(take_operations(&second)[..2], ["load a /a", "load bad /bad"]);

    let both = yaml_of(&[&first, &second], "+a=/a +b=/b");
    second.shutdown().await;
    wait_for_status(&syncer, "a", 0, "unreachable").await;
    assert!(!syncer.is_ready().await);
    // The other server follows the file all the same.
    config.write(&both);
    wait_for_operations(&first, &["load b /b"]).await;
    wait_for_status(&syncer, "b", 0, "unreachable").await;
    let second = Sim::start(listening()).await.unwrap();
    wait_for_status(&syncer, "a", 1, "loaded").await;
    wait_for_status(&syncer, "b", 1, "loaded").await;
    assert_eq!(take_operations(&second), ["load a /a", "load b /b"]);
    assert_eq!(take_operations(&first), Vec::<String>::new());
    assert!(syncer.is_ready().await);
    // A restart of one server too quick for any poll to fail.
    wait_for_polls(&second, 1).await;
    second.reset_adapters();
    wait_for_operations(&second, &["load a /a", "load b /b"]).await;
    assert_eq!(
        lines_with(&syncer, "no longer loaded on 1 of 2 servers"),
        3,
        "{}",
        syncer.log()
    );
}

#[tokio::test]
async fn server_that_does_not_respond_delays_no_other() {
    let (first, second) = (server().await, server().await);
    first.set_behaviour("/v1/models", "hang=headers").unwrap();
    let config = Config::new();
    config.write(&yaml_of(&[&first, &second], "+a=/a"));
    // Longer than the test's patience.
    let syncer = start(&config, &["--request-timeout", "10m"]).await;
    wait_for_operations(&second, &["load a /a"]).await;
    wait_for_polls(&second, 3).await;
    // A load that hangs holds nothing up either.
    second
        .set_behaviour("/v1/load_lora_adapter#slow", "hang=headers")
        .unwrap();
    config.write(&yaml_of(&[&first, &second], "+slow=/slow +a=/2"));
    wait_for_operations(&second, &["load slow /slow", "reload a /2"]).await;
    first.set_behaviour("/v1/models", "").unwrap();
    wait_for_status(&syncer, "a", 0, "pending").await;
    assert_eq!(
        take_operations(&first),
        Vec::<String>::new(),
        "nothing is known of it yet"
    );
    // A third server is added: it does not wait for the first one.
    let third = server().await;
    config.write(&yaml_of(&[&first, &second, &third], "+a=/2"));
    wait_for_operations(&third, &["load a /2"]).await;
    // Without the one that hangs, all is as configured.
    config.write(&yaml_of(&[&second, &third], "+a=/2"));
    wait_for_status(&syncer, "a", 1, "loaded").await;
}

#[tokio::test]
async fn modes_that_exit_have_all_servers() {
    let (first, second) = (server().await, server().await);
    let config = Arc::new(Config::new());
    config.write(&yaml_of(&[&first, &second], "+a=/a -b"));
    second.set_adapters(&[("b", "/b")]);
    let runs = async |arguments: &'static [&'static str]| {
        let config = Arc::clone(&config);
        let output = spawn_blocking(move || run(&config, arguments)).await.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (one, two) = (first.addr(), second.addr());
    assert_eq!(
        runs(&["--dry-run"]).await,
        (
            Some(0),
            format!("http://{one}/: load a from /a\nhttp://{two}/: load a from /a\nhttp://{two}/: unload b\n")
        )
    );
    assert_eq!(
        runs(&["--once"]).await,
        (Some(0), "a: loaded\nb: excluded\n".to_owned())
    );
    assert_eq!(take_operations(&first), ["load a /a"]);
    assert_eq!(take_operations(&second), ["load a /a", "unload b"]);
    second.shutdown().await;
    let (code, page) = runs(&[
        "--once",
        "--health-check-timeout",
        "300ms",
        "--health-check-interval",
        "100ms",
    ])
    .await;
    assert_eq!(code, Some(1));
    assert!(
        page.starts_with(&format!("a: unreachable: server http://{two}/: ")),
        "{page}"
    );
}
