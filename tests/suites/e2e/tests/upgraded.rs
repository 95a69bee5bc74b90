//! The filter replaced in a running Envoy by a listener update, with a stream in flight, and Envoy itself replaced: counters,
//! histograms and the gauge of running requests are as `docs/upgrading.md` says.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use infertally_harness::checked_envoy::{COMPLETIONS, CheckedEnvoy};
use infertally_harness::connection::Connection;
use infertally_harness::envoy::{Binaries, EnvoyConfig};
use infertally_harness::message::Message;
use infertally_harness::stats::{Series, Stats, difference};
use infertally_harness::upstream::Upstream;
use infertally_harness::{Result, client, eventually};
use infertally_oracle::Measured;
use tokio::sync::Semaphore;

const DOCUMENT: &str = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
const FIRST: &str = "data: {\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":null}]}\n\n";
const REST: &str = "data: {\"choices\":[{\"index\":0,\"text\":\"b\",\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\
                    \"completion_tokens\":4}}\n\ndata: [DONE]\n\n";
const PLAIN_REQUESTS: usize = 5;

/// The inference listener as a discovery resource, which Envoy reloads when the file is replaced.
struct Resource {
    folder: PathBuf,
}

// === impl Resource ===

impl Resource {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("infertally-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Moves the listener from the configuration to the file.
    fn move_listener(&self, config: EnvoyConfig) -> Result<EnvoyConfig> {
        let text = config.text();
        let position = |mark: &str| text.find(mark).ok_or_else(|| format!("envoy.yaml lacks {mark:?}"));
        let listener = text[position("  - name: inference\n")?..position("  # (3)")?].to_owned();
        let typed = "  - \"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\n    name: inference\n";
        self.write(&format!(
            "resources:\n{}",
            listener.replace("  - name: inference\n", typed)
        ));
        let dynamic = format!(
            "node: {{id: test, cluster: test}}\n\
             dynamic_resources: {{lds_config: {{path_config_source: {{path: {}}}}}}}\n\
             static_resources:\n",
            self.file("lds.yaml").display()
        );
        config.replace(&listener, "")?.replace("static_resources:\n", &dynamic)
    }

    fn replace(&self, old: &str, new: &str) {
        let before = std::fs::read_to_string(self.file("lds.yaml")).unwrap();
        assert!(before.contains(old), "{old}");
        self.write(&before.replace(old, new));
    }

    /// Writes it by a rename, for which Envoy watches.
    fn write(&self, text: &str) {
        std::fs::write(self.file("new"), text).unwrap();
        std::fs::rename(self.file("new"), self.file("lds.yaml")).unwrap();
    }
}

impl Drop for Resource {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A server that responds at once, but ends a stream only with a permit of the gate.
async fn model_server(gate: Arc<Semaphore>) -> Upstream {
    Upstream::responding(move |mut connection: Connection, request: Message, _| {
        let gate = Arc::clone(&gate);
        async move {
            let head = |kind, length| {
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                )
            };
            if String::from_utf8_lossy(&request.body).contains("\"stream\":true") {
                let head = head("text/event-stream", FIRST.len() + REST.len());
                connection.send(format!("{head}{FIRST}").as_bytes()).await?;
                gate.acquire().await?.forget();
                connection.send(REST.as_bytes()).await?;
            } else {
                let head = head("application/json", DOCUMENT.len());
                connection.send(format!("{head}{DOCUMENT}").as_bytes()).await?;
            }
            Ok(None)
        }
    })
    .await
    .unwrap()
}

fn body(model: &str, stream: bool) -> String {
    format!(r#"{{"model":"{model}","prompt":"a b c","stream":{stream}}}"#)
}

/// Sends requests one after the other, and adds them to the totals.
async fn send(envoy: &mut CheckedEnvoy, model: &str) {
    let body = body(model, false);
    for _ in 0..PLAIN_REQUESTS {
        let response = envoy.send(COMPLETIONS, "", body.as_bytes()).await.unwrap();
        assert_eq!(response.status, 200);
        envoy.add(Measured::response(body.as_bytes(), &response).tokens(3, 4));
    }
}

async fn listener_stat(envoy: &CheckedEnvoy, name: &str, wanted: u64) {
    eventually(|| async {
        let page = client::get(envoy.admin(), &format!("/stats?filter={name}")).await?;
        match page.trim().rsplit_once(": ") {
            Some((_, value)) if value == wanted.to_string() => Ok(()),
            _ => Err(format!("{page:?}, must be {wanted}").into()),
        }
    })
    .await
    .unwrap();
}

fn of_model(series: &Series, model: &str) -> bool {
    series.label("model_name") == model
}

/// The series of exchanges; the filter's gauges of itself may change with a heartbeat.
fn traffic(stats: &Stats) -> Stats {
    let mut traffic = stats.clone();
    traffic.retain(|series, _| !series.label("model_name").is_empty());
    traffic
}

/// Sends traffic, starts a stream, makes the change, sends more traffic for the stream's model, and ends the stream: all is
/// counted exactly. Returns the scrape after that, once the old listener has drained.
async fn replaced_under_a_stream(name: &str, change: impl Fn(&Resource)) -> (CheckedEnvoy, Upstream, Resource, Stats) {
    let gate = Arc::new(Semaphore::new(0));
    let upstream = model_server(Arc::clone(&gate)).await;
    let resource = Resource::new(name);
    let mut envoy = CheckedEnvoy::start(upstream.addr(), |config| resource.move_listener(config))
        .await
        .unwrap();
    send(&mut envoy, "quiet").await;
    send(&mut envoy, "busy").await;

    let streamed = body("busy", true);
    let request = client::request("POST", COMPLETIONS, &[], streamed.as_bytes());
    let listener = envoy.listener();
    let stream = tokio::spawn(async move { client::exchange(listener, &request, usize::MAX).await });
    envoy.wait_for_running(1).await.unwrap();
    change(&resource);
    listener_stat(&envoy, "listener_manager.total_filter_chains_draining", 1).await;

    send(&mut envoy, "busy").await;
    envoy.wait_for_running(1).await.unwrap();
    gate.add_permits(1);
    let response = stream.await.unwrap().unwrap().response;
    assert_eq!(response.body.len(), FIRST.len() + REST.len(), "the stream's end");
    envoy.add(Measured::response(streamed.as_bytes(), &response).tokens(3, 4));
    envoy.check().await.unwrap();
    let counted = envoy.scrape().await.unwrap();

    listener_stat(&envoy, "listener_manager.total_filter_chains_draining", 0).await;
    (envoy, upstream, resource, counted)
}

#[tokio::test]
async fn a_new_configuration_keeps_every_count_exact() {
    let (mut envoy, _upstream, _resource, counted) = replaced_under_a_stream("configuration", |resource| {
        resource.replace(r#""models": []"#, r#""models": ["x"]"#);
    })
    .await;
    let now = envoy.scrape().await.unwrap();
    assert_eq!(traffic(&now), traffic(&counted), "{}", difference(&now, &counted));
    send(&mut envoy, "quiet").await;
    send(&mut envoy, "busy").await;
    envoy.check().await.unwrap();
}

/// A module that is different to Envoy and does the same: the filter with an empty custom section appended.
fn another_module(wasm: &Path, to: &Path) {
    let mut bytes = std::fs::read(wasm).unwrap();
    bytes.extend([0, 3, 1, b'x', 0]);
    std::fs::write(to, bytes).unwrap();
}

#[tokio::test]
async fn a_new_module_continues_the_series_that_it_used_and_the_others_start_from_0() {
    let wasm = Binaries::from_env().unwrap().wasm;
    let (mut envoy, _upstream, _resource, counted) = replaced_under_a_stream("module", |resource| {
        let new = resource.file("new.wasm");
        another_module(&wasm, &new);
        resource.replace(&wasm.display().to_string(), &new.display().to_string());
    })
    .await;
    // Envoy keeps a stat as long as a VM lives that has used it.
    let gone = |stats: &Stats| match stats.keys().find(|series| of_model(series, "quiet")) {
        Some(series) => Err(format!("there is {series}")),
        None => Ok(()),
    };
    let now = envoy.scrape_until(gone).await.unwrap();
    let mut busy = traffic(&counted);
    busy.retain(|series, _| of_model(series, "busy"));
    // Only the stream had a finish reason, and it ended in the old VM.
    busy.retain(|series, _| series.name != "inference_model_finish_reason_total");
    assert_eq!(traffic(&now), busy, "{}", difference(&traffic(&now), &busy));

    send(&mut envoy, "quiet").await;
    let again = |stats: &Stats| match stats.get(&Series::new(
        "inference_model_request_total",
        &[("model_name", "quiet"), ("target_model_name", "quiet")],
    )) {
        Some(requests) if *requests == PLAIN_REQUESTS as u64 => Ok(()),
        other => Err(format!("{other:?} requests")),
    };
    envoy.scrape_until(again).await.unwrap();
}

#[tokio::test]
async fn a_new_envoy_starts_from_0() {
    let upstream = model_server(Arc::new(Semaphore::new(0))).await;
    for _ in 0..2 {
        let mut envoy = CheckedEnvoy::start(upstream.addr(), Ok).await.unwrap();
        envoy.check_no_series().await.unwrap();
        send(&mut envoy, "tiny").await;
        envoy.check().await.unwrap();
    }
}
