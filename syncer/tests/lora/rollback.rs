//! A typo takes nothing out of service.
#![allow(clippy::unwrap_used, reason = "test code")]

use infertally_harness::ports::Port;
use infertally_sim::{AdapterApi, Sim, SimConfig};

use crate::support::{
    Config, lines_with, server, start, take_operations, wait_for_operations, wait_for_polls, wait_for_status, yaml,
};

async fn without_reload(adapter_api: AdapterApi) -> Sim {
    Sim::start(SimConfig {
        adapter_api,
        supports_load_inplace: false,
        ..SimConfig::default()
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn source_that_cannot_be_loaded_in_place_leaves_the_previous_one() {
    let server = server().await;
    let config = Config::new();
    config.write(&yaml(&server, "+a=/1"));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    config.write(&yaml(&server, "+a=/missing/2"));
    wait_for_status(&syncer, "a", 1, "load_failed").await;
    assert!(!syncer.is_ready().await);
    assert_eq!(take_operations(&server), ["load a /1", "reload a /missing/2"]);
    let line =
        "reload failed: 404 Loading lora a failed: No adapter found for /missing/2; the previous version is loaded";
    assert_eq!(lines_with(&syncer, line), 1, "{}", syncer.log());
    config.write(&yaml(&server, "+a=/1"));
    wait_for_status(&syncer, "a", 1, "loaded").await;
    assert_eq!(take_operations(&server), Vec::<String>::new());
}

#[tokio::test]
async fn source_that_cannot_replace_another_is_rolled_back() {
    for api in [AdapterApi::Vllm, AdapterApi::Sglang] {
        let server = without_reload(api).await;
        let config = Config::new();
        config.write(&yaml(&server, "+a=/1 +b=/b"));
        let syncer = start(&config, &[]).await;
        wait_for_status(&syncer, "a", 1, "loaded").await;
        wait_for_status(&syncer, "b", 1, "loaded").await;
        take_operations(&server);
        config.write(&yaml(&server, "+a=/missing/2 +b=/b"));
        let replaced = ["unload a", "load a /missing/2", "load a /1"];
        match api {
            AdapterApi::Vllm => {
                wait_for_operations(&server, &[&["reload a /missing/2"], replaced.as_slice()].concat()).await;
            }
            AdapterApi::Sglang => wait_for_operations(&server, &replaced).await,
        }
        wait_for_status(&syncer, "a", 1, "load_failed").await;
        // Each further typo rolls back to the source that was loaded.
        for typo in ["/missing/3", "/missing/4"] {
            config.write(&yaml(&server, &format!("+a={typo} +b=/b")));
            wait_for_operations(&server, &["unload a", &format!("load a {typo}"), "load a /1"]).await;
            wait_for_status(&syncer, "a", 1, "load_failed").await;
        }
        wait_for_polls(&server, 3).await;
        assert_eq!(
            take_operations(&server),
            Vec::<String>::new(),
            "no retry takes it out of service soon"
        );
        config.write(&yaml(&server, "+a=/1 +b=/b"));
        wait_for_status(&syncer, "a", 1, "loaded").await;
        assert_eq!(take_operations(&server), Vec::<String>::new());
        wait_for_status(&syncer, "b", 1, "loaded").await;
    }
}

#[tokio::test]
async fn server_that_dies_before_the_unload_gets_the_known_source_back() {
    let port = Port::reserve().unwrap();
    let listening = || SimConfig {
        listen: port.address(),
        supports_load_inplace: false,
        ..SimConfig::default()
    };
    let server = Sim::start(listening()).await.unwrap();
    let config = Config::new();
    config.write(&yaml(&server, "+a=/1"));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    server.set_behaviour("/v1/unload_lora_adapter", "cut=headers").unwrap();
    config.write(&yaml(&server, "+a=/missing/2"));
    infertally_harness::eventually(
        async || match take_operations(&server).iter().any(|sent| sent == "unload a") {
            true => Ok(()),
            false => Err("no unload yet".into()),
        },
    )
    .await
    .unwrap();
    server.shutdown().await;
    let server = Sim::start(listening()).await.unwrap();
    wait_for_operations(&server, &["load a /missing/2", "load a /1"]).await;
    wait_for_status(&syncer, "a", 1, "load_failed").await;
}

#[tokio::test]
async fn server_that_dies_between_unload_and_load_gets_the_known_source_back() {
    let port = Port::reserve().unwrap();
    let listening = || SimConfig {
        listen: port.address(),
        adapter_api: AdapterApi::Sglang,
        ..SimConfig::default()
    };
    let server = Sim::start(listening()).await.unwrap();
    let config = Config::new();
    config.write(&yaml(&server, "+a=/1"));
    let syncer = start(&config, &["--load-timeout", "3s"]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    take_operations(&server);
    let typo = "/x-sim/delay=60s/missing/2";
    config.write(&yaml(&server, &format!("+a={typo}")));
    let load = format!("load a {typo}");
    wait_for_operations(&server, &["unload a", &load]).await;
    server.shutdown().await;
    wait_for_status(&syncer, "a", 0, "unreachable").await;
    let server = Sim::start(listening()).await.unwrap();
    // That the source is wrong is not known yet.
    wait_for_operations(&server, &[&load, "load a /1"]).await;
    wait_for_status(&syncer, "a", 1, "timeout").await;
}
