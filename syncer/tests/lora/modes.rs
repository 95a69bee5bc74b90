//! `--once`, `--dry-run` and `--check`; shutdown; what is served.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::process::Output;

use infertally_harness::client::get;
use infertally_sim::{Sim, SimConfig};
use tokio::task::spawn_blocking;
use tokio::time::{Duration, Instant, sleep};

use crate::support::{Config, run, server, start, take_operations, wait_for_status, yaml};

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

async fn runs(config: &std::sync::Arc<Config>, arguments: &'static [&'static str]) -> Output {
    let config = std::sync::Arc::clone(config);
    spawn_blocking(move || run(&config, arguments)).await.unwrap()
}

#[tokio::test]
async fn dry_run_prints_the_plan_without_carrying_it_out() {
    let server = Sim::start(SimConfig {
        adapters: vec!["old".to_owned(), "moved".to_owned()],
        ..SimConfig::default()
    });
    let server = server.await.unwrap();
    let config = std::sync::Arc::new(Config::new());
    config.write(&yaml(&server, "+b=/b +a=/a +moved=/elsewhere -old"));
    let output = runs(&config, &["--dry-run"]).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        printed(&output),
        "load b from /b\nload a from /a\nreload moved from /elsewhere\nunload old\n"
    );
    assert_eq!(take_operations(&server), Vec::<String>::new());
    config.write(&yaml(&server, "-never"));
    assert_eq!(printed(&runs(&config, &["--dry-run"]).await), "nothing to do\n");
    server.shutdown().await;
    let output = runs(&config, &["--dry-run"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("model server cannot be polled"));
}

#[tokio::test]
async fn once_exits_with_0_if_all_adapters_are_as_configured() {
    let server = Sim::start(SimConfig {
        adapters: vec!["moved".to_owned()],
        supports_load_inplace: false,
        ..SimConfig::default()
    });
    let server = server.await.unwrap();
    // It waits for a server that is starting.
    server.set_behaviour("/health", "status=503;times=2").unwrap();
    let config = std::sync::Arc::new(Config::new());
    config.write(&yaml(&server, "+a=/a +moved=/2"));
    let output = runs(&config, &["--once", "--health-check-interval", "100ms"]).await;
    assert_eq!(printed(&output), "a: loaded\nmoved: loaded\n");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        take_operations(&server),
        ["load a /a", "reload moved /2", "unload moved", "load moved /2"]
    );
    config.write(&yaml(&server, "+a=/a +bad=/missing/bad -moved"));
    let output = runs(&config, &["--once"]).await;
    assert_eq!(
        printed(&output),
        "a: loaded\nbad: load_failed: 404 Loading lora bad failed: No adapter found for /missing/bad\n\
         moved: excluded\n"
    );
    assert_eq!(output.status.code(), Some(1));
    server.shutdown().await;
    let output = runs(
        &config,
        &[
            "--once",
            "--health-check-timeout",
            "300ms",
            "--health-check-interval",
            "100ms",
        ],
    )
    .await;
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).starts_with("a: unreachable: "), "{}", printed(&output));
}

#[tokio::test]
async fn check_needs_no_server() {
    let config = std::sync::Arc::new(Config::new());
    for (text, code, message) in [
        (
            "vLLMLoRAConfig: {ensureExist: {models: [{id: a, source: /a}]}}",
            0,
            "valid: model server http://localhost:8000/, adapters: 1 to load",
        ),
        ("vLLMLoRAConfig: {colour: red}", 0, "vLLMLoRAConfig.colour: unknown key"),
        (
            "vLLMLoRAConfig: {port: x, host: ' '}",
            64,
            "vLLMLoRAConfig.port: expected a number, found a string",
        ),
        ("a: [", 64, "line 1, column"),
        ("", 64, "the file is empty"),
    ] {
        config.write(text);
        let path = config.path();
        let output = spawn_blocking({
            let config = std::sync::Arc::clone(&config);
            move || run(&config, &["--check", path.to_str().unwrap()])
        });
        let output = output.await.unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}");
        let all = printed(&output) + &String::from_utf8_lossy(&output.stderr);
        assert!(all.contains(message), "{all}");
    }
}

#[tokio::test]
async fn sigterm_exits_within_a_second_with_0() {
    let server = server().await;
    let config = Config::new();
    config.write(&yaml(&server, "+slow=/x-sim/delay=60s/slow +a=/a"));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "slow", 0, "loading").await;
    let begin = Instant::now();
    assert_eq!(syncer.terminate().await.unwrap().code(), Some(0));
    // The load in flight is awaited for half a second; the rest is for busy machines.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    // A load that completes in that time is not cut off.
    server.reset_adapters();
    config.write(&yaml(&server, "+brief=/x-sim/delay=300ms/brief"));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "brief", 0, "loading").await;
    syncer.terminate().await.unwrap();
    sleep(Duration::from_millis(10)).await;
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "brief", 1, "loaded").await;
}

#[tokio::test]
async fn health_readiness_and_authorization_are_served() {
    let server = server().await;
    let config = Config::new();
    config.write(&yaml(&server, "+bad=/missing/bad"));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "bad", 0, "load_failed").await;
    assert!(get(syncer.address(), "/healthz").await.is_ok());
    assert!(!syncer.is_ready().await, "not ready while an adapter is missing");
    drop(syncer);
    let syncer = start(&config, &["--ready-when", "configured"]).await;
    wait_for_status(&syncer, "bad", 0, "load_failed").await;
    assert!(syncer.is_ready().await, "ready in spite of a missing adapter");
    drop(syncer);

    let secret = infertally_harness::Mount::new().unwrap();
    secret.mount("1", &[("token", "s3cret")]).unwrap();
    let path = secret.path("token");
    let arguments = ["--metrics-auth", "token", "--token-file", path.to_str().unwrap()];
    let syncer = start(&config, &arguments).await;
    assert!(syncer.metrics().await.is_err(), "metrics need the token");
    assert!(get(syncer.address(), "/healthz").await.is_ok());
}
