//! The filter replaced in a running Envoy by a listener update, with a stream in flight, and Envoy itself replaced: what
//! `docs/upgrading.md` says of counters, histograms and the gauge of running requests.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a helper of a test fails it"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use infertally_harness::counted::{COMPLETIONS, Counted};
use infertally_harness::envoy::{Binaries, EnvoyConfig};
use infertally_harness::message::Message;
use infertally_harness::stats::{Series, Stats, difference};
use infertally_harness::tally::Exchange;
use infertally_harness::upstream::Upstream;
use infertally_harness::wire::Wire;
use infertally_harness::{Result, client, eventually};
use tokio::sync::Semaphore;

const ANSWER: &str = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
const FIRST: &str = "data: {\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":null}]}\n\n";
const REST: &str = "data: {\"choices\":[{\"index\":0,\"text\":\"b\",\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\
                    \"completion_tokens\":4}}\n\ndata: [DONE]\n\n";
const PLAIN_REQUESTS: usize = 5;

/// The inference listener as a resource of its own, which Envoy reads again when the file is replaced.
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

    /// Takes the listener out of the configuration and into the file.
    fn take(&self, config: EnvoyConfig) -> Result<EnvoyConfig> {
        let text = config.text();
        let place = |mark: &str| {
            text.find(mark)
                .ok_or_else(|| format!("envoy.yaml does not hold {mark:?}"))
        };
        let listener = text[place("  - name: inference\n")?..place("  # (3)")?].to_owned();
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

    /// By a rename, which is what Envoy watches for.
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

/// Answers at once, but the end of a stream only with the gate's leave.
async fn model_server(gate: Arc<Semaphore>) -> Upstream {
    Upstream::answering(move |mut wire: Wire, request: Message, _| {
        let gate = Arc::clone(&gate);
        async move {
            let head = |kind, length| {
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                )
            };
            if String::from_utf8_lossy(&request.body).contains("\"stream\":true") {
                let head = head("text/event-stream", FIRST.len() + REST.len());
                wire.send(format!("{head}{FIRST}").as_bytes()).await?;
                gate.acquire().await?.forget();
                wire.send(REST.as_bytes()).await?;
            } else {
                let head = head("application/json", ANSWER.len());
                wire.send(format!("{head}{ANSWER}").as_bytes()).await?;
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

/// Sends some requests, one after the other, and adds them to what must be told.
async fn send(counted: &mut Counted, model: &str) {
    let body = body(model, false);
    for _ in 0..PLAIN_REQUESTS {
        let answer = counted.send(COMPLETIONS, "", body.as_bytes()).await.unwrap();
        assert_eq!(answer.status, 200);
        counted.add(Exchange::answered(body.as_bytes(), &answer).tokens(3, 4));
    }
}

async fn listener_stat(counted: &Counted, name: &str, wanted: u64) {
    eventually(|| async {
        let page = client::get(counted.envoy().admin(), &format!("/stats?filter={name}")).await?;
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

/// What traffic alone raises; the filter's gauges of itself may move with a heartbeat.
fn traffic(stats: &Stats) -> Stats {
    let mut traffic = stats.clone();
    traffic.retain(|series, _| !series.label("model_name").is_empty());
    traffic
}

/// Traffic, a stream, the change, more traffic for the stream's model, the stream's end: all is told exactly. Gives what
/// was told, once the old listener is about to end.
async fn replaced_under_a_stream(name: &str, change: impl Fn(&Resource)) -> (Counted, Upstream, Resource, Stats) {
    let gate = Arc::new(Semaphore::new(0));
    let upstream = model_server(Arc::clone(&gate)).await;
    let resource = Resource::new(name);
    let mut counted = Counted::start(upstream.addr(), |config| resource.take(config))
        .await
        .unwrap();
    send(&mut counted, "quiet").await;
    send(&mut counted, "busy").await;

    let streamed = body("busy", true);
    let request = client::request("POST", COMPLETIONS, &[], streamed.as_bytes());
    let listener = counted.listener();
    let stream = tokio::spawn(async move { client::exchange(listener, &request, usize::MAX).await });
    counted.running(1).await.unwrap();
    change(&resource);
    listener_stat(&counted, "listener_manager.total_filter_chains_draining", 1).await;

    send(&mut counted, "busy").await;
    counted.running(1).await.unwrap();
    gate.add_permits(1);
    let answer = stream.await.unwrap().unwrap().answer;
    assert_eq!(answer.body.len(), FIRST.len() + REST.len(), "the stream's end");
    counted.add(Exchange::answered(streamed.as_bytes(), &answer).tokens(3, 4));
    counted.hold().await.unwrap();
    let told = counted.envoy().scrape().await.unwrap();

    listener_stat(&counted, "listener_manager.total_filter_chains_draining", 0).await;
    (counted, upstream, resource, told)
}

#[tokio::test]
async fn a_new_configuration_loses_nothing_and_counts_nothing_twice() {
    let (mut counted, _upstream, _resource, told) = replaced_under_a_stream("configuration", |resource| {
        resource.replace(r#""models": []"#, r#""models": ["x"]"#);
    })
    .await;
    let now = counted.envoy().scrape().await.unwrap();
    assert_eq!(traffic(&now), traffic(&told), "{}", difference(&now, &told));
    send(&mut counted, "quiet").await;
    send(&mut counted, "busy").await;
    counted.hold().await.unwrap();
}

/// A file that is another to Envoy and does the same: the filter with an empty custom section at its end.
fn another_module(wasm: &Path, to: &Path) {
    let mut bytes = std::fs::read(wasm).unwrap();
    bytes.extend([0, 3, 1, b'x', 0]);
    std::fs::write(to, bytes).unwrap();
}

#[tokio::test]
async fn a_new_module_goes_on_with_every_series_that_it_has_touched_and_the_others_begin_again() {
    let wasm = Binaries::from_env().unwrap().wasm;
    let (mut counted, _upstream, _resource, told) = replaced_under_a_stream("module", |resource| {
        let new = resource.file("new.wasm");
        another_module(&wasm, &new);
        resource.replace(&wasm.display().to_string(), &new.display().to_string());
    })
    .await;
    // Envoy keeps a stat as long as a VM that has used it lives.
    let gone = |stats: &Stats| match stats.keys().find(|series| of_model(series, "quiet")) {
        Some(series) => Err(format!("{series} is there")),
        None => Ok(()),
    };
    let now = counted.envoy().scrape_until(gone).await.unwrap();
    let mut busy = traffic(&told);
    busy.retain(|series, _| of_model(series, "busy"));
    // A reason has a series of its own, and only the stream, which ended in the old VM, gave one.
    busy.retain(|series, _| series.name != "inference_model_finish_reason_total");
    assert_eq!(traffic(&now), busy, "{}", difference(&traffic(&now), &busy));

    send(&mut counted, "quiet").await;
    let again = |stats: &Stats| match stats.get(&Series::new(
        "inference_model_request_total",
        &[("model_name", "quiet"), ("target_model_name", "quiet")],
    )) {
        Some(requests) if *requests == PLAIN_REQUESTS as u64 => Ok(()),
        other => Err(format!("{other:?} requests")),
    };
    counted.envoy().scrape_until(again).await.unwrap();
}

#[tokio::test]
async fn another_envoy_begins_from_nothing() {
    let upstream = model_server(Arc::new(Semaphore::new(0))).await;
    for _ in 0..2 {
        let mut counted = Counted::start(upstream.addr(), Ok).await.unwrap();
        counted.nothing().await.unwrap();
        send(&mut counted, "tiny").await;
        counted.hold().await.unwrap();
    }
}
