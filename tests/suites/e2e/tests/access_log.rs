//! The shipped access log: off by default; with `accessLog: true` a line of JSON for each measured exchange, however it
//! ends, without prompts or completions.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use infertally_harness::envoy::{Binaries, Envoy, EnvoyConfig};
use infertally_harness::stats::Stats;
use infertally_harness::{Result, client, eventually};
use infertally_oracle::totals::requests;
use infertally_sim::{Sim, SimConfig};
use serde_json::{Value, json};

const SECRET: &str = "a-prompt-that-must-not-be-logged";

async fn start(on: bool) -> (Sim, Envoy) {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let change = |config: EnvoyConfig| config.replace(r#""accessLog": false"#, &format!(r#""accessLog": {on}"#));
    let envoy = Envoy::start(&Binaries::from_env().unwrap(), sim.addr(), 1, change)
        .await
        .unwrap();
    (sim, envoy)
}

fn request(behaviour: &str, more: &str) -> Vec<u8> {
    let body =
        format!(r#"{{"model":"tiny","max_tokens":7,"messages":[{{"role":"user","content":"{SECRET} b c"}}]{more}}}"#);
    client::request("POST", "/v1/chat/completions", &[("x-sim", behaviour)], body.as_bytes())
}

/// The log's lines, once there are `count`. Envoy buffers lines for some seconds; its admin interface flushes them.
async fn lines(envoy: &Envoy, count: usize) -> Vec<Value> {
    eventually(|| async {
        let flush = client::request("POST", "/reopen_logs", &[], b"");
        client::exchange(envoy.admin(), &flush, usize::MAX).await?;
        let log = envoy.log();
        let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if lines.len() == count {
            Ok(lines)
        } else {
            Err(format!("{} lines of {count}:\n{log}", lines.len()).into())
        }
    })
    .await
    .unwrap()
}

/// The filter's values in a line.
fn values(line: &Value) -> Value {
    let keys = [
        "model_name",
        "target_model_name",
        "stream",
        "input_tokens",
        "output_tokens",
        "error_code",
    ];
    Value::Array(keys.iter().map(|key| line[key].clone()).collect())
}

async fn send(envoy: &Envoy, request: &[u8]) -> Result<()> {
    client::exchange(envoy.listener(), request, usize::MAX)
        .await
        .map(|_| ())
}

#[tokio::test]
async fn every_measured_exchange_is_logged_however_it_ends() {
    let (_sim, envoy) = start(true).await;
    let streams = r#","stream":true,"stream_options":{"include_usage":true}"#;
    let mut wanted = Vec::new();
    for (behaviour, more, line) in [
        ("", "", json!(["tiny", "tiny", "false", "3", "7", null])),
        ("", streams, json!(["tiny", "tiny", "true", "3", "7", null])),
        (
            "",
            r#","stream":true"#,
            json!(["tiny", "tiny", "true", null, null, null]),
        ),
        (
            "status=503",
            "",
            json!(["tiny", "tiny", "false", null, null, "ServiceUnavailable"]),
        ),
        (
            "error=event:3",
            streams,
            json!(["tiny", "tiny", "true", null, null, "StreamError"]),
        ),
        (
            "cut=event:3",
            streams,
            json!(["tiny", "tiny", "true", null, null, "UpstreamReset"]),
        ),
        (
            "cut=headers",
            "",
            json!(["tiny", "tiny", "false", null, null, "ServiceUnavailable"]),
        ),
    ] {
        send(&envoy, &request(behaviour, more)).await.unwrap();
        wanted.push(line);
        let lines = lines(&envoy, wanted.len()).await;
        assert_eq!(
            lines.iter().map(values).collect::<Vec<_>>(),
            wanted,
            "{behaviour} {more}"
        );
    }
    // The client disconnects in the middle of a stream.
    client::disconnect_after_events(envoy.listener(), &request("hang=event:3", streams), 3)
        .await
        .unwrap();
    wanted.push(json!(["tiny", "tiny", "true", null, null, null]));
    let all = lines(&envoy, wanted.len()).await;
    assert_eq!(all.iter().map(values).collect::<Vec<_>>(), wanted);
    assert_eq!(all.last().unwrap()["response_flags"], "DC");
    assert!(!envoy.log().contains(SECRET), "a prompt was logged");
}

#[tokio::test]
async fn exchanges_that_are_not_measured_are_not_logged() {
    let (_sim, envoy) = start(true).await;
    for path in ["/health", "/v1/models", "/v1/nope"] {
        send(&envoy, &client::request("GET", path, &[], b"")).await.unwrap();
    }
    send(&envoy, &request("", "")).await.unwrap();
    assert_eq!(lines(&envoy, 1).await[0]["path"], "/v1/chat/completions");
}

#[tokio::test]
async fn the_access_log_is_off_by_default() {
    let (_sim, envoy) = start(false).await;
    send(&envoy, &request("", "")).await.unwrap();
    // The exchange was recorded, so its line would be there.
    let recorded = |stats: &Stats| {
        if requests(stats) == 1 {
            Ok(())
        } else {
            Err("not recorded".to_owned())
        }
    };
    envoy.scrape_until(recorded).await.unwrap();
    assert_eq!(lines(&envoy, 0).await, Vec::<Value>::new());
    assert!(!envoy.log().contains("model_name"), "{}", envoy.log());
}
