//! SGLang's endpoints, detected by the list of models or configured.
#![allow(clippy::unwrap_used, reason = "test code")]

use infertally_sim::{AdapterApi, Sim, SimConfig};

use crate::support::{
    Config, lines_with, server, start, take_operations, wait_for_operations, wait_for_status, yaml, yaml_of,
};

async fn sglang() -> Sim {
    Sim::start(SimConfig {
        adapters: vec!["old".to_owned()],
        adapter_api: AdapterApi::Sglang,
        ..SimConfig::default()
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn sglang_is_detected_and_its_adapters_are_loaded_and_unloaded() {
    let server = sglang().await;
    let config = Config::new();
    config.write(&yaml(&server, "+a=/a +bad=/missing/bad -old -tiny"));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    wait_for_status(&syncer, "bad", 0, "load_failed").await;
    wait_for_status(&syncer, "old", 0, "excluded").await;
    wait_for_status(&syncer, "tiny", 0, "unload_failed").await;
    assert_eq!(
        lines_with(&syncer, "load failed: 400 [Errno 2] No such file or directory"),
        1,
        "{}",
        syncer.log()
    );
    assert_eq!(
        take_operations(&server)[..3],
        ["load a /a", "load bad /missing/bad", "unload old"]
    );
    // It cannot reload in place, so nothing of the kind is attempted.
    config.write(&yaml(&server, "+a=/2"));
    wait_for_operations(&server, &["unload a", "load a /2"]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    // A restart with other weights.
    server.set_adapters(&[("a", "/other")]);
    wait_for_operations(&server, &["unload a", "load a /2"]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
}

#[tokio::test]
async fn servers_of_both_kinds_have_one_status() {
    let (vllm, sglang) = (server().await, sglang().await);
    let config = Config::new();
    config.write(&yaml_of(&[&vllm, &sglang], "+a=/a"));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    assert_eq!(take_operations(&vllm), ["load a /a"]);
    assert_eq!(take_operations(&sglang), ["load a /a"]);
}

#[tokio::test]
async fn configured_api_is_used_whatever_the_list_says() {
    let server = sglang().await;
    let config = Config::new();
    config.write(&yaml(&server, "+a=/a"));
    let wrong = start(&config, &["--lora-api", "vllm"]).await;
    wait_for_status(&wrong, "a", 0, "load_rejected").await;
    assert_eq!(lines_with(&wrong, "404 no such endpoint"), 1, "{}", wrong.log());
    drop(wrong);
    let right = start(&config, &["--lora-api", "sglang"]).await;
    wait_for_status(&right, "a", 1, "loaded").await;
}
