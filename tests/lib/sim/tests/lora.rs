//! What a client that manages adapters sees: faults by path, by adapter and in an adapter's path, authentication,
//! restarts, and the log of its requests.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod support;

use std::time::Duration;

use infertally_sim::{AdapterApi, ReceivedRequest, Sim, SimConfig};
use support::*;
use tokio::time::{Instant, sleep};

const LOAD: &str = "/v1/load_lora_adapter";
const UNLOAD: &str = "/v1/unload_lora_adapter";
const MODELS: &str = "/v1/models";

fn load_body(name: &str, path: &str) -> String {
    format!(r#"{{"lora_name":"{name}","lora_path":"{path}"}}"#)
}

async fn load(sim: &Sim, name: &str, path: &str) -> Response {
    post(sim, LOAD, "", &load_body(name, path)).await
}

async fn loaded(sim: &Sim) -> Vec<String> {
    let models = get(sim.addr(), MODELS).await.json();
    let cards = models["data"].as_array().unwrap().iter();
    let ids = cards.filter(|card| !card["parent"].is_null());
    ids.map(|card| card["id"].as_str().unwrap().to_owned()).collect()
}

async fn until_loaded(sim: &Sim, expected: &[&str]) {
    let start = Instant::now();
    while loaded(sim).await != expected {
        assert!(start.elapsed() < DEADLINE, "{:?}, not {expected:?}", loaded(sim).await);
        sleep(Duration::from_millis(2)).await;
    }
}

/// The bytes received, which may be none.
async fn raw(sim: &Sim, path: &str, body: &str) -> Vec<u8> {
    drain(send(sim.addr(), &request(path, &[("connection", "close")], body.as_bytes())).await).await
}

#[tokio::test]
async fn a_loads_path_sets_its_faults() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let start = Instant::now();
    assert_eq!(load(&sim, "slow", "/x-sim/delay=60ms/adapters/slow").await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(60));
    for status in [400, 404, 429, 500, 503] {
        let response = load(&sim, "bad", &format!("/x-sim/status={status}/adapters/bad")).await;
        assert_eq!(
            (response.status, &response.json()["error"]["code"]),
            (status, &status.into())
        );
    }
    let garbage = load(&sim, "bad", "/x-sim/status=200;body=garbage/bad").await;
    assert_eq!(garbage.status, 200);
    assert!(std::str::from_utf8(&garbage.body).is_err());
    assert!(
        raw(&sim, LOAD, &load_body("bad", "/x-sim/cut=headers/bad"))
            .await
            .is_empty()
    );
    assert_eq!(loaded(&sim).await, ["slow"]);
    let missing = load(&sim, "bad", "/x-sim/delay=1ms/missing").await;
    assert_eq!(missing.status, 404);
    let invalid = load(&sim, "bad", "/x-sim/times=2/bad").await;
    assert_eq!(
        (invalid.status, &invalid.json()["error"]["param"]),
        (400, &"x-sim".into())
    );
    // The list of models shows the whole path.
    let models = get(sim.addr(), MODELS).await.json();
    assert_eq!(models["data"][1]["root"], "/x-sim/delay=60ms/adapters/slow");
}

#[tokio::test]
async fn a_truncated_response_leaves_the_adapter_loaded() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    for (name, cut) in [("a", 0), ("b", 7)] {
        let response = load(&sim, name, &format!("/x-sim/cut=body:{cut}/{name}")).await;
        assert_eq!(
            (response.status, response.body.len(), response.complete),
            (200, cut, false)
        );
    }
    assert_eq!(loaded(&sim).await, ["a", "b"]);
    sim.set_behaviour(MODELS, "cut=body:20;times=1").unwrap();
    let models = get(sim.addr(), MODELS).await;
    assert_eq!((models.body.len(), models.complete), (20, false));
}

#[tokio::test]
async fn a_load_completes_after_its_client_disconnects() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    for (name, fault) in [("slow", "delay=60ms"), ("never", "hang=headers")] {
        let body = load_body(name, &format!("/x-sim/{fault}/{name}"));
        let stream = send(sim.addr(), &request(LOAD, &[], body.as_bytes())).await;
        let start = Instant::now();
        while !sim.received_requests().iter().any(|request| request.body == body) {
            assert!(start.elapsed() < DEADLINE);
            sleep(Duration::from_millis(2)).await;
        }
        drop(stream);
    }
    until_loaded(&sim, &["slow"]).await;
}

#[tokio::test]
async fn a_fault_can_be_limited_to_an_adapter_and_a_number_of_requests() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    sim.set_behaviour(&format!("{LOAD}#a"), "status=500;times=2").unwrap();
    sim.set_behaviour(&format!("{UNLOAD}#b"), "status=503").unwrap();
    let mut statuses = Vec::new();
    for name in ["a", "b", "a", "a"] {
        statuses.push(load(&sim, name, "/adapters").await.status);
    }
    for name in ["a", "b"] {
        statuses.push(post(&sim, UNLOAD, "", &load_body(name, "")).await.status);
    }
    assert_eq!(statuses, [500, 200, 500, 200, 200, 503]);
    assert_eq!(loaded(&sim).await, ["b"]);
}

#[tokio::test]
async fn health_and_models_can_have_faults() {
    let sim = sim().await;
    sim.set_behaviour("/health", "status=503;body=none;for=80ms").unwrap();
    let start = Instant::now();
    assert_eq!(get(sim.addr(), "/health").await.status, 503);
    while get(sim.addr(), "/health").await.status != 200 {
        assert!(start.elapsed() < DEADLINE);
        sleep(Duration::from_millis(2)).await;
    }
    assert!(start.elapsed() >= Duration::from_millis(80));
    for status in [401, 500] {
        sim.set_behaviour(MODELS, &format!("status={status}")).unwrap();
        assert_eq!(get(sim.addr(), MODELS).await.status, status);
    }
    sim.set_behaviour(MODELS, "status=200;body=garbage").unwrap();
    let garbage = get(sim.addr(), MODELS).await;
    assert!(serde_json::from_slice::<serde_json::Value>(&garbage.body).is_err() && garbage.complete);
    sim.set_behaviour(MODELS, "delay=60ms").unwrap();
    let start = Instant::now();
    assert_eq!(get(sim.addr(), MODELS).await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(60));
    sim.set_behaviour(MODELS, "hang=headers;times=1").unwrap();
    let hanging = send(sim.addr(), b"GET /v1/models HTTP/1.1\r\nhost: sim\r\n\r\n").await;
    let start = Instant::now();
    // The hanging request must come before the next, because the fault applies once.
    while sim
        .received_requests()
        .iter()
        .filter(|request| request.path == MODELS)
        .count()
        < 5
    {
        assert!(start.elapsed() < DEADLINE);
        sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(loaded(&sim).await, ["lora-a"]);
    let nothing = hanging.try_read(&mut [0; 16]).unwrap_err().kind();
    assert_eq!(nothing, std::io::ErrorKind::WouldBlock);
    sim.set_behaviour(MODELS, "gap=1ms;eol=cr").unwrap();
    assert_eq!(get(sim.addr(), MODELS).await.status, 400);
}

#[tokio::test]
async fn the_api_key_is_required_below_v1_only() {
    let config = SimConfig {
        api_key: Some("s3cret".to_owned()),
        ..SimConfig::default()
    };
    let sim = Sim::start(config).await.unwrap();
    let status = async |authorization: &str| {
        let headers = [("connection", "close"), ("authorization", authorization)];
        let request = request(LOAD, &headers, load_body("a", "/a").as_bytes());
        Response::parse(drain(send(sim.addr(), &request).await).await).status
    };
    for path in ["/health", "/metrics"] {
        assert_eq!(get(sim.addr(), path).await.status, 200, "{path}");
    }
    let unauthorized = get(sim.addr(), MODELS).await;
    assert_eq!(
        (unauthorized.status, unauthorized.text().as_str()),
        (401, r#"{"error":"Unauthorized"}"#)
    );
    assert_eq!(post(&sim, CHAT, "", CHAT_BODY).await.status, 401);
    assert_eq!(status("Bearer wrong").await, 401);
    assert_eq!(status("Basic s3cret").await, 401);
    assert_eq!(status("Bearer s3cret").await, 200);
    assert_eq!(
        sim.take_received_requests().last().unwrap().authorization.as_deref(),
        Some("Bearer s3cret")
    );
    sim.set_api_key(Some("next"));
    assert_eq!(status("Bearer s3cret").await, 401);
    sim.set_api_key(None);
    assert_eq!(loaded(&sim).await, ["a"]);
}

#[tokio::test]
async fn a_restart_restores_the_initial_adapters() {
    let sim = sim().await;
    assert_eq!(load(&sim, "lora-b", "/b").await.status, 200);
    assert_eq!(post(&sim, UNLOAD, "", &load_body("lora-a", "")).await.status, 200);
    sim.reset_adapters();
    assert_eq!(loaded(&sim).await, ["lora-a"]);
    // After a real restart too; the port is free for the next server at once.
    let listen = sim.addr();
    assert_eq!(load(&sim, "lora-b", "/b").await.status, 200);
    sim.shutdown().await;
    let config = SimConfig {
        listen,
        ..SimConfig::default()
    };
    let next = Sim::start(config).await.unwrap();
    assert_eq!(loaded(&next).await, [] as [&str; 0]);
}

#[tokio::test]
async fn a_restart_can_have_other_adapters() {
    let sim = sim().await;
    sim.set_adapters(&[("lora-b", "/elsewhere")]);
    let models = get(sim.addr(), MODELS).await.json();
    assert_eq!(models["data"][1]["root"], "/elsewhere");
    assert_eq!(loaded(&sim).await, ["lora-b"]);
}

/// The responses have the fields and the texts of the fixtures, which are written after SGLang's source.
#[tokio::test]
async fn sglang_adapters_are_loaded_and_unloaded() {
    let config = SimConfig {
        adapter_api: AdapterApi::Sglang,
        ..SimConfig::default()
    };
    let sim = Sim::start(config).await.unwrap();
    let fixture = |name: &str| {
        let path = format!("{}/../../fixtures/sglang-lora/{name}.resp", env!("CARGO_MANIFEST_DIR"));
        Response::parse(std::fs::read(path).unwrap())
    };
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for (path, name, source, expected) in [
        ("/load_lora_adapter", "lora-a", "/adapters/lora-a", "load_ok"),
        ("/load_lora_adapter", "lora-a", "/other", "load_duplicate"),
        ("/load_lora_adapter", "lora-b", "/missing", "load_bad_path"),
        ("/unload_lora_adapter", "lora-b", "", "unload_missing"),
    ] {
        let response = post(&sim, path, "", &load_body(name, source)).await;
        let expected = fixture(expected);
        assert_eq!(response.status, expected.status, "{}", response.text());
        let (body, expected) = (response.json(), expected.json());
        assert_eq!(keys(&body), keys(&expected));
        assert_eq!(body["success"], expected["success"]);
        let first_words = |value: &serde_json::Value| {
            let text = value["error_message"].as_str().unwrap();
            text.split_whitespace().take(5).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(first_words(&body), first_words(&expected));
    }
    let list = get(sim.addr(), MODELS).await.json();
    let expected = fixture("models").json();
    for index in 0..2 {
        let mut card = list["data"][index].clone();
        for own in ["created", "max_model_len"] {
            card[own] = expected["data"][index][own].clone();
        }
        assert_eq!(card, expected["data"][index]);
    }
    let unloaded = post(&sim, "/unload_lora_adapter", "", &load_body("lora-a", "")).await;
    assert_eq!((unloaded.status, &unloaded.json()["success"]), (200, &true.into()));
    assert_eq!(loaded(&sim).await, [] as [&str; 0]);
    // vLLM's paths are not there.
    assert_eq!(load(&sim, "a", "/a").await.status, 404);
}

#[tokio::test]
async fn a_server_without_load_inplace_rejects_a_second_load() {
    let in_place = r#"{"lora_name":"lora-a","lora_path":"/next","load_inplace":true}"#;
    for (supports_load_inplace, status) in [(true, 200), (false, 400)] {
        let config = SimConfig {
            adapters: vec!["lora-a".to_owned()],
            supports_load_inplace,
            ..SimConfig::default()
        };
        let sim = Sim::start(config).await.unwrap();
        let response = post(&sim, LOAD, "", in_place).await;
        assert_eq!(response.status, status, "{}", response.text());
        assert!(!response.text().contains("load_inplace"));
    }
}

#[tokio::test]
async fn management_requests_are_logged_in_order_with_their_bodies() {
    let sim = sim().await;
    get(sim.addr(), "/health").await;
    post(&sim, CHAT, "", CHAT_BODY).await;
    get(sim.addr(), "/metrics").await;
    get(sim.addr(), MODELS).await;
    load(&sim, "b", "/b").await;
    load(&sim, "c", "/x-sim/status=500/c").await;
    post(&sim, UNLOAD, "", "no json").await;
    let lines = |requests: &[ReceivedRequest]| requests.iter().map(ReceivedRequest::line).collect::<Vec<_>>();
    let expected = [
        "GET /health",
        "GET /v1/models",
        r#"POST /v1/load_lora_adapter {"lora_name":"b","lora_path":"/b"}"#,
        r#"POST /v1/load_lora_adapter {"lora_name":"c","lora_path":"/x-sim/status=500/c"}"#,
        "POST /v1/unload_lora_adapter no json",
    ];
    let requests = sim.received_requests();
    assert_eq!(lines(&requests), expected);
    assert!(requests.is_sorted_by_key(|request| request.at));
    assert_eq!(sim.take_received_requests(), requests);
    assert_eq!(sim.received_requests(), []);
}
