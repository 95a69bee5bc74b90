//! What a client that manages adapters meets: faults by path, by adapter and in an adapter's path, a token, a server that
//! forgets, and the list of its calls.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod support;

use std::time::Duration;

use infertally_sim::{Sim, SimConfig};
use support::*;
use tokio::time::{Instant, sleep};

const LOAD: &str = "/v1/load_lora_adapter";
const UNLOAD: &str = "/v1/unload_lora_adapter";
const MODELS: &str = "/v1/models";

fn load_body(name: &str, path: &str) -> String {
    format!(r#"{{"lora_name":"{name}","lora_path":"{path}"}}"#)
}

async fn load(sim: &Sim, name: &str, path: &str) -> Answer {
    ask(sim, LOAD, "", &load_body(name, path)).await
}

async fn loaded(sim: &Sim) -> Vec<String> {
    let models = get(sim.addr(), MODELS).await.json();
    let cards = models["data"].as_array().unwrap().iter();
    let ids = cards.filter(|card| !card["parent"].is_null());
    ids.map(|card| card["id"].as_str().unwrap().to_owned()).collect()
}

async fn until_loaded(sim: &Sim, wanted: &[&str]) {
    let start = Instant::now();
    while loaded(sim).await != wanted {
        assert!(start.elapsed() < DEADLINE, "{:?}, not {wanted:?}", loaded(sim).await);
        sleep(Duration::from_millis(2)).await;
    }
}

/// The bytes of an answer that may be none.
async fn raw(sim: &Sim, path: &str, body: &str) -> Vec<u8> {
    drain(send(sim.addr(), &post(path, &[("connection", "close")], body.as_bytes())).await).await
}

#[tokio::test]
async fn a_loads_path_asks_for_its_faults() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let start = Instant::now();
    assert_eq!(load(&sim, "slow", "/x-sim/delay=60ms/adapters/slow").await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(60));
    for status in [400, 404, 429, 500, 503] {
        let answer = load(&sim, "bad", &format!("/x-sim/status={status}/adapters/bad")).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
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
    let mistake = load(&sim, "bad", "/x-sim/times=2/bad").await;
    assert_eq!(
        (mistake.status, &mistake.json()["error"]["param"]),
        (400, &"x-sim".into())
    );
    // Its name is as good as any other, and the whole path is listed.
    let models = get(sim.addr(), MODELS).await.json();
    assert_eq!(models["data"][1]["root"], "/x-sim/delay=60ms/adapters/slow");
}

#[tokio::test]
async fn an_answer_that_breaks_off_leaves_the_adapter_loaded() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    for (name, cut) in [("a", 0), ("b", 7)] {
        let answer = load(&sim, name, &format!("/x-sim/cut=body:{cut}/{name}")).await;
        assert_eq!((answer.status, answer.body.len(), answer.whole), (200, cut, false));
    }
    assert_eq!(loaded(&sim).await, ["a", "b"]);
    sim.always(MODELS, "cut=body:20;times=1").unwrap();
    let models = get(sim.addr(), MODELS).await;
    assert_eq!((models.body.len(), models.whole), (20, false));
}

#[tokio::test]
async fn a_load_goes_on_when_its_client_has_gone_away() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    for (name, fault) in [("slow", "delay=60ms"), ("never", "hang=headers")] {
        let body = load_body(name, &format!("/x-sim/{fault}/{name}"));
        let stream = send(sim.addr(), &post(LOAD, &[], body.as_bytes())).await;
        let start = Instant::now();
        while !sim.calls().iter().any(|call| call.body == body) {
            assert!(start.elapsed() < DEADLINE);
            sleep(Duration::from_millis(2)).await;
        }
        drop(stream);
    }
    until_loaded(&sim, &["slow"]).await;
}

#[tokio::test]
async fn a_fault_may_be_one_adapters_and_for_so_many_calls() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    sim.always(&format!("{LOAD}#a"), "status=500;times=2").unwrap();
    sim.always(&format!("{UNLOAD}#b"), "status=503").unwrap();
    let mut statuses = Vec::new();
    for name in ["a", "b", "a", "a"] {
        statuses.push(load(&sim, name, "/adapters").await.status);
    }
    for name in ["a", "b"] {
        statuses.push(ask(&sim, UNLOAD, "", &load_body(name, "")).await.status);
    }
    assert_eq!(statuses, [500, 200, 500, 200, 200, 503]);
    assert_eq!(loaded(&sim).await, ["b"]);
}

#[tokio::test]
async fn health_and_models_have_faults_of_their_own() {
    let sim = sim().await;
    sim.always("/health", "status=503;body=none;for=80ms").unwrap();
    let start = Instant::now();
    assert_eq!(get(sim.addr(), "/health").await.status, 503);
    while get(sim.addr(), "/health").await.status != 200 {
        assert!(start.elapsed() < DEADLINE);
        sleep(Duration::from_millis(2)).await;
    }
    assert!(start.elapsed() >= Duration::from_millis(80));
    for status in [401, 500] {
        sim.always(MODELS, &format!("status={status}")).unwrap();
        assert_eq!(get(sim.addr(), MODELS).await.status, status);
    }
    sim.always(MODELS, "status=200;body=garbage").unwrap();
    let garbage = get(sim.addr(), MODELS).await;
    assert!(serde_json::from_slice::<serde_json::Value>(&garbage.body).is_err() && garbage.whole);
    sim.always(MODELS, "delay=60ms").unwrap();
    let start = Instant::now();
    assert_eq!(get(sim.addr(), MODELS).await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(60));
    sim.always(MODELS, "hang=headers;times=1").unwrap();
    let hanging = send(sim.addr(), b"GET /v1/models HTTP/1.1\r\nhost: sim\r\n\r\n").await;
    let start = Instant::now();
    // The one that hangs came first when another is answered.
    while sim.calls().iter().filter(|call| call.path == MODELS).count() < 5 {
        assert!(start.elapsed() < DEADLINE);
        sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(loaded(&sim).await, ["lora-a"]);
    let nothing = hanging.try_read(&mut [0; 16]).unwrap_err().kind();
    assert_eq!(nothing, std::io::ErrorKind::WouldBlock);
    sim.always(MODELS, "gap=1ms;eol=cr").unwrap();
    assert_eq!(get(sim.addr(), MODELS).await.status, 400);
}

#[tokio::test]
async fn a_key_is_asked_for_below_v1_only() {
    let config = SimConfig {
        api_key: Some("s3cret".to_owned()),
        ..SimConfig::default()
    };
    let sim = Sim::start(config).await.unwrap();
    let status = async |authorization: &str| {
        let headers = [("connection", "close"), ("authorization", authorization)];
        let request = post(LOAD, &headers, load_body("a", "/a").as_bytes());
        Answer::parse(drain(send(sim.addr(), &request).await).await).status
    };
    for path in ["/health", "/metrics"] {
        assert_eq!(get(sim.addr(), path).await.status, 200, "{path}");
    }
    let refused = get(sim.addr(), MODELS).await;
    assert_eq!(
        (refused.status, refused.text().as_str()),
        (401, r#"{"error":"Unauthorized"}"#)
    );
    assert_eq!(ask(&sim, CHAT, "", ASK).await.status, 401);
    assert_eq!(status("Bearer wrong").await, 401);
    assert_eq!(status("Basic s3cret").await, 401);
    assert_eq!(status("Bearer s3cret").await, 200);
    assert_eq!(
        sim.take_calls().last().unwrap().authorization.as_deref(),
        Some("Bearer s3cret")
    );
    sim.set_api_key(Some("next"));
    assert_eq!(status("Bearer s3cret").await, 401);
    sim.set_api_key(None);
    assert_eq!(loaded(&sim).await, ["a"]);
}

#[tokio::test]
async fn a_restart_leaves_what_it_was_started_with() {
    let sim = sim().await;
    assert_eq!(load(&sim, "lora-b", "/b").await.status, 200);
    assert_eq!(ask(&sim, UNLOAD, "", &load_body("lora-a", "")).await.status, 200);
    sim.forget_adapters();
    assert_eq!(loaded(&sim).await, ["lora-a"]);
    // A real one: the port is free for the next process at once.
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
async fn a_server_that_knows_no_load_in_place_refuses_a_second_one() {
    let in_place = r#"{"lora_name":"lora-a","lora_path":"/next","load_inplace":true}"#;
    for (loads_in_place, status) in [(true, 200), (false, 400)] {
        let config = SimConfig {
            adapters: vec!["lora-a".to_owned()],
            loads_in_place,
            ..SimConfig::default()
        };
        let sim = Sim::start(config).await.unwrap();
        let answer = ask(&sim, LOAD, "", in_place).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(!answer.text().contains("load_inplace"));
    }
}

#[tokio::test]
async fn the_calls_that_manage_a_server_are_listed_in_order_with_their_bodies() {
    let sim = sim().await;
    get(sim.addr(), "/health").await;
    ask(&sim, CHAT, "", ASK).await;
    get(sim.addr(), "/metrics").await;
    get(sim.addr(), MODELS).await;
    load(&sim, "b", "/b").await;
    load(&sim, "c", "/x-sim/status=500/c").await;
    ask(&sim, UNLOAD, "", "no json").await;
    let lines = |calls: &[infertally_sim::Call]| calls.iter().map(infertally_sim::Call::line).collect::<Vec<_>>();
    let wanted = [
        "GET /health",
        "GET /v1/models",
        r#"POST /v1/load_lora_adapter {"lora_name":"b","lora_path":"/b"}"#,
        r#"POST /v1/load_lora_adapter {"lora_name":"c","lora_path":"/x-sim/status=500/c"}"#,
        "POST /v1/unload_lora_adapter no json",
    ];
    let calls = sim.calls();
    assert_eq!(lines(&calls), wanted);
    assert!(calls.is_sorted_by_key(|call| call.at));
    assert_eq!(sim.take_calls(), calls);
    assert_eq!(sim.calls(), []);
}
