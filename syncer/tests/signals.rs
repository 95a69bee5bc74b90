//! Signals, and starts without what a cluster gives: the real process, its exit code and its log.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic on failure")]

use std::path::Path;
use std::process::{Command, Output};

use infertally_harness::page::{Load, small};
use infertally_harness::{Behaviour, Mount, Pod, Syncer, eventually};

const BINARY: &str = env!("CARGO_BIN_EXE_infertally-syncer");
const LORA: [&str; 5] = ["lora", "--metrics-address", "127.0.0.1", "--metrics-port", "0"];

/// Waits until this is in the log a number of times.
async fn logs(syncer: &Syncer, part: &str, times: usize) {
    let logged = eventually(async || {
        let log = syncer.log();
        match log.matches(part).count() {
            count if count == times => Ok(()),
            count => Err(format!("{part:?} {count} times in\n{log}").into()),
        }
    });
    logged.await.unwrap();
}

#[tokio::test]
async fn sighup_reloads_the_targets_of_a_pool() {
    let load = Load {
        waiting: 1.0,
        running: 0.0,
        kv_cache: 0.0,
    };
    let pod = Pod::start(Behaviour::Page(small(load))).await.unwrap();
    let files = Mount::new().unwrap();
    files.mount("1", &[("targets", &pod.target("a"))]).unwrap();
    let path = files.path("targets");
    let arguments = ["--targets-file", path.to_str().unwrap()];
    let syncer = Syncer::pool(Path::new(BINARY), &arguments).await.unwrap();
    let queue =
        |pod: &str| format!("inference_pool_per_pod_queue_size{{name=\"default\",model_server_pod=\"{pod}\"}} 1");
    syncer.shows(&[&queue("a")], &[]).await.unwrap();
    files.mount("2", &[("targets", &pod.target("b"))]).unwrap();
    syncer.hang_up().unwrap();
    syncer.shows(&[&queue("b")], &["\"a\""]).await.unwrap();
    logs(&syncer, "received SIGHUP", 1).await;
    // Without a change nothing happens, however often it is sent.
    syncer.hang_up().unwrap();
    logs(&syncer, "received SIGHUP", 2).await;
    logs(&syncer, "discovered the pool's pods", 2).await;
    assert_eq!(syncer.terminate().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn sighup_does_not_end_a_pool_without_files() {
    let syncer = Syncer::pool(Path::new(BINARY), &["--target", "http://127.0.0.1:1"]);
    let syncer = syncer.await.unwrap();
    syncer.hang_up().unwrap();
    logs(&syncer, "received SIGHUP", 1).await;
    assert!(syncer.metrics().await.is_ok());
    assert_eq!(syncer.terminate().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn sighup_reloads_the_adapters_of_a_sidecar() {
    let files = Mount::new().unwrap();
    let config =
        |id: &str| format!("vLLMLoRAConfig: {{port: 1, ensureExist: {{models: [{{id: {id}, source: /{id}}}]}}}}");
    files.mount("1", &[("configmap.yaml", &config("a"))]).unwrap();
    let mut command = Command::new(BINARY);
    let syncer = Syncer::start(command.args(LORA).arg("--config").arg(files.path("configmap.yaml")));
    let syncer = syncer.await.unwrap();
    let status = |id: &str| format!("lora_syncer_adapter_status{{adapter_name=\"{id}\"}} 0");
    syncer.shows(&[&status("a")], &[]).await.unwrap();
    files.mount("2", &[("configmap.yaml", &config("b"))]).unwrap();
    syncer.hang_up().unwrap();
    syncer.shows(&[&status("b")], &["\"a\""]).await.unwrap();
    logs(&syncer, "received SIGHUP", 1).await;
    assert_eq!(syncer.terminate().await.unwrap().code(), Some(0));
}

/// Runs `pool` with these arguments as in a pod without an account.
fn in_a_cluster(arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .args(["pool", "--listen", "127.0.0.1:0"])
        .args(arguments)
        .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        .env("KUBERNETES_SERVICE_PORT", "1")
        .env("HOME", "/nonexistent")
        .env_remove("KUBECONFIG")
        .output()
        .unwrap()
}

#[test]
fn a_pod_without_an_account_exits_with_64_and_says_once_what_is_missing() {
    // The default in a cluster.
    let output = in_a_cluster(&["--target", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(64));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert_eq!(errors.matches("no service account is mounted").count(), 1, "{errors}");
    assert!(errors.contains("--metrics-auth none"), "{errors}");
    assert!(!errors.contains("kubeconfig"), "a pod has none: {errors}");

    let output = in_a_cluster(&["--kubernetes", "vllm", "--metrics-auth", "none"]);
    assert_eq!(output.status.code(), Some(64));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("error: --kubernetes: no service account is mounted"),
        "{errors}"
    );
    assert!(!errors.contains("--metrics-auth none"), "{errors}");
}
