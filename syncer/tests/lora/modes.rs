//! A single pass, a plan, a check; how it ends, and what it serves.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::process::Output;

use infertally_harness::client::get;
use infertally_sim::{Sim, SimConfig};
use tokio::task::spawn_blocking;
use tokio::time::{Duration, Instant, sleep};

use crate::stage::{Config, calls, run, server, stands, start, yaml};

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

async fn runs(config: &std::sync::Arc<Config>, arguments: &'static [&'static str]) -> Output {
    let config = std::sync::Arc::clone(config);
    spawn_blocking(move || run(&config, arguments)).await.unwrap()
}

#[tokio::test]
async fn a_plan_is_printed_and_not_carried_out() {
    let server = Sim::start(SimConfig {
        adapters: vec!["old".to_owned(), "moved".to_owned()],
        ..SimConfig::default()
    });
    let server = server.await.unwrap();
    let config = std::sync::Arc::new(Config::new());
    config.says(&yaml(&server, "+b=/b +a=/a +moved=/elsewhere -old"));
    let output = runs(&config, &["--dry-run"]).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        printed(&output),
        "load b from /b\nload a from /a\nreload moved from /elsewhere\nunload old\n"
    );
    assert_eq!(calls(&server), Vec::<String>::new());
    config.says(&yaml(&server, "-never"));
    assert_eq!(printed(&runs(&config, &["--dry-run"]).await), "nothing to do\n");
    server.shutdown().await;
    let output = runs(&config, &["--dry-run"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the server cannot be asked"));
}

#[tokio::test]
async fn a_single_pass_says_by_its_exit_code_whether_all_is_as_configured() {
    let server = Sim::start(SimConfig {
        adapters: vec!["moved".to_owned()],
        loads_in_place: false,
        ..SimConfig::default()
    });
    let server = server.await.unwrap();
    // It waits for one that is just starting.
    server.always("/health", "status=503;times=2").unwrap();
    let config = std::sync::Arc::new(Config::new());
    config.says(&yaml(&server, "+a=/a +moved=/2"));
    let output = runs(&config, &["--once", "--health-check-interval", "100ms"]).await;
    assert_eq!(printed(&output), "a: loaded\nmoved: loaded\n");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        calls(&server),
        ["load a /a", "reload moved /2", "unload moved", "load moved /2"]
    );
    config.says(&yaml(&server, "+a=/a +bad=/missing/bad -moved"));
    let output = runs(&config, &["--once"]).await;
    assert_eq!(
        printed(&output),
        "a: loaded\nbad: load_failed: status 404: Loading lora bad failed: No adapter found for /missing/bad\n\
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
async fn a_file_is_checked_without_a_server() {
    let config = std::sync::Arc::new(Config::new());
    for (text, code, said) in [
        (
            "vLLMLoRAConfig: {ensureExist: {models: [{id: a, source: /a}]}}",
            0,
            "can be used: server http://localhost:8000/, 1 adapters",
        ),
        (
            "vLLMLoRAConfig: {colour: red}",
            0,
            "vLLMLoRAConfig.colour: the key is not known",
        ),
        (
            "vLLMLoRAConfig: {port: x, host: ' '}",
            64,
            "vLLMLoRAConfig.port: is text, not a number",
        ),
        ("a: [", 64, "line 1, column"),
        ("", 64, "the file is empty"),
    ] {
        config.says(text);
        let path = config.path();
        let output = spawn_blocking({
            let config = std::sync::Arc::clone(&config);
            move || run(&config, &["--check", path.to_str().unwrap()])
        });
        let output = output.await.unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}");
        let all = printed(&output) + &String::from_utf8_lossy(&output.stderr);
        assert!(all.contains(said), "{all}");
    }
}

#[tokio::test]
async fn it_ends_within_a_second_and_says_so_with_0() {
    let server = server().await;
    let config = Config::new();
    config.says(&yaml(&server, "+slow=/x-sim/delay=60s/slow +a=/a"));
    let syncer = start(&config, &[]).await;
    stands(&syncer, "slow", 0, "loading").await;
    let begin = Instant::now();
    assert_eq!(syncer.terminate().await.unwrap().code(), Some(0));
    // Half a second is what it waits for the load; the rest is a busy machine's.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    // A load that comes to its end in that time is not cut off.
    server.forget_adapters();
    config.says(&yaml(&server, "+brief=/x-sim/delay=300ms/brief"));
    let syncer = start(&config, &[]).await;
    stands(&syncer, "brief", 0, "loading").await;
    syncer.terminate().await.unwrap();
    sleep(Duration::from_millis(10)).await;
    let syncer = start(&config, &[]).await;
    stands(&syncer, "brief", 1, "loaded").await;
}

#[tokio::test]
async fn it_serves_as_the_pool_does() {
    let server = server().await;
    let config = Config::new();
    config.says(&yaml(&server, "+bad=/missing/bad"));
    let syncer = start(&config, &[]).await;
    stands(&syncer, "bad", 0, "load_failed").await;
    assert!(get(syncer.address(), "/healthz").await.is_ok());
    assert!(!syncer.is_ready().await, "an adapter is missing");
    drop(syncer);
    let syncer = start(&config, &["--ready-when", "configured"]).await;
    stands(&syncer, "bad", 0, "load_failed").await;
    assert!(syncer.is_ready().await, "and the pod has its traffic all the same");
    drop(syncer);

    let secret = infertally_harness::Mount::new().unwrap();
    secret.mount("1", &[("token", "s3cret")]).unwrap();
    let path = secret.path("token");
    let arguments = ["--metrics-auth", "token", "--token-file", path.to_str().unwrap()];
    let syncer = start(&config, &arguments).await;
    assert!(syncer.metrics().await.is_err(), "without the token there is no page");
    assert!(get(syncer.address(), "/healthz").await.is_ok());
}
