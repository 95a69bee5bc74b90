//! What counts is what the server holds, never what was loaded there once.
#![allow(clippy::unwrap_used, reason = "test code")]

use infertally_harness::ports::Port;
use infertally_sim::{Sim, SimConfig};

use crate::support::{
    Config, lines_with, server, start, take_operations, wait_for_operations, wait_for_polls, wait_for_status, yaml,
};

#[tokio::test]
async fn server_restarted_with_other_weights_is_loaded_again() {
    let port = Port::reserve().unwrap();
    let listening = |adapters: &[&str]| SimConfig {
        listen: port.address(),
        adapters: adapters.iter().map(|name| (*name).to_owned()).collect(),
        ..SimConfig::default()
    };
    let server = Sim::start(listening(&[])).await.unwrap();
    let config = Config::new();
    config.write(&yaml(&server, "+a=/a"));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    server.shutdown().await;
    wait_for_status(&syncer, "a", 0, "unreachable").await;
    // Its command line has the same name, from elsewhere.
    let server = Sim::start(listening(&["a"])).await.unwrap();
    wait_for_operations(&server, &["reload a /a"]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    assert_eq!(
        lines_with(&syncer, "has it loaded from another source than /a; loading it again"),
        1,
        "{}",
        syncer.log()
    );
}

#[tokio::test]
async fn load_by_another_client_is_replaced_and_a_restart_with_the_same_source_is_not() {
    let server = server().await;
    server.set_adapters(&[("a", "/theirs")]);
    let config = Config::new();
    config.write(&yaml(&server, "+a=/a"));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    assert_eq!(take_operations(&server), ["reload a /a"]);
    wait_for_polls(&server, 2).await;
    // Too quick for any poll to fail.
    server.set_adapters(&[("a", "/theirs")]);
    wait_for_operations(&server, &["reload a /a"]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    server.set_adapters(&[("a", "/a")]);
    wait_for_polls(&server, 3).await;
    assert_eq!(take_operations(&server), Vec::<String>::new());
    wait_for_status(&syncer, "a", 1, "loaded").await;
}
