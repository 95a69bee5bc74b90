//! Kinds of traffic, each for a model of its own, that go on until they are stopped.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails it")]

use std::net::SocketAddr;
use std::time::Duration;

use infertally_harness::checked_envoy::COMPLETIONS;
use infertally_harness::client::{disconnect_after_events, exchange, request};
use tokio::task::JoinSet;

/// Between two requests of a kind to an Envoy.
const PAUSE: Duration = Duration::from_millis(200);

/// Requests for a model, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    model: &'static str,
    behaviour: &'static str,
    is_stream: bool,
    with_usage: bool,
}

const fn well(model: &'static str) -> Kind {
    Kind {
        model,
        behaviour: "",
        is_stream: true,
        with_usage: true,
    }
}

// === impl Kind ===

impl Kind {
    /// All models that the Envoys have room for.
    pub const WELL: &[Self] = &[well("tiny"), well("ill"), well("slow"), well("blind"), well("held")];
    /// All that clients and servers can do wrong; `tiny` and half of `ill` are well.
    pub const ALL: &[Self] = &[
        well("tiny"),
        well("ill"),
        Self {
            behaviour: "status=503",
            is_stream: false,
            ..well("ill")
        },
        Self {
            behaviour: "delay=1500ms",
            ..well("slow")
        },
        Self {
            with_usage: false,
            ..well("blind")
        },
        Self {
            behaviour: "hang=event:3",
            ..well("held")
        },
        well("one-too-many"),
    ];
    /// The models of all kinds but the base model, for the model server.
    pub const ADAPTERS: [&str; 5] = ["ill", "slow", "blind", "held", "one-too-many"];

    fn body(self) -> String {
        let Self {
            model,
            is_stream,
            with_usage,
            ..
        } = self;
        let stream = match (is_stream, with_usage) {
            (false, _) => "",
            (true, false) => r#","stream":true"#,
            (true, true) => r#","stream":true,"stream_options":{"include_usage":true}"#,
        };
        format!(r#"{{"model":"{model}","prompt":"a b c","max_tokens":4{stream}}}"#)
    }
}

/// Sends these kinds to each Envoy until it is dropped.
pub fn send(kinds: &[Kind], envoys: &[SocketAddr]) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for kind in kinds {
        for envoy in envoys {
            tasks.spawn(go_on(*kind, *envoy));
        }
    }
    tasks
}

async fn go_on(kind: Kind, envoy: SocketAddr) {
    let request = request(
        "POST",
        COMPLETIONS,
        &[("x-sim", kind.behaviour)],
        kind.body().as_bytes(),
    );
    let mut held = JoinSet::new();
    loop {
        if kind.behaviour.starts_with("hang") {
            let request = request.clone();
            held.spawn(async move { disconnect_after_events(envoy, &request, usize::MAX).await });
        } else {
            exchange(envoy, &request, usize::MAX).await.unwrap();
        }
        tokio::time::sleep(PAUSE).await;
    }
}
