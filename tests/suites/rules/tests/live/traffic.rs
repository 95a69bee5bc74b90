//! Continuous traffic of several kinds, each with its own model.
#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

use std::net::SocketAddr;
use std::time::Duration;

use infertally_harness::checked_envoy::COMPLETIONS;
use infertally_harness::client::{disconnect_after_events, exchange, request};
use tokio::task::JoinSet;

/// The pause between two requests of a kind to an Envoy.
const PAUSE: Duration = Duration::from_millis(200);

/// Requests for a model, one at a time.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    model: &'static str,
    behaviour: &'static str,
    is_stream: bool,
    with_usage: bool,
}

const fn healthy(model: &'static str) -> Kind {
    Kind {
        model,
        behaviour: "",
        is_stream: true,
        with_usage: true,
    }
}

// === impl Kind ===

impl Kind {
    /// One for each model that the Envoys admit.
    pub const HEALTHY: &[Self] = &[
        healthy("tiny"),
        healthy("failing"),
        healthy("slow"),
        healthy("no-usage"),
        healthy("held"),
    ];
    /// Every fault of clients and servers; `tiny` and half of `failing` are healthy.
    pub const ALL: &[Self] = &[
        healthy("tiny"),
        healthy("failing"),
        Self {
            behaviour: "status=503",
            is_stream: false,
            ..healthy("failing")
        },
        Self {
            behaviour: "delay=1500ms",
            ..healthy("slow")
        },
        Self {
            with_usage: false,
            ..healthy("no-usage")
        },
        Self {
            behaviour: "hang=event:3",
            ..healthy("held")
        },
        healthy("one-too-many"),
    ];
    /// The models of all kinds except the base model: the model server's adapters.
    pub const ADAPTERS: [&str; 5] = ["failing", "slow", "no-usage", "held", "one-too-many"];

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

/// Sends these kinds to each Envoy until the result is dropped.
pub fn send(kinds: &[Kind], envoys: &[SocketAddr]) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for kind in kinds {
        for envoy in envoys {
            tasks.spawn(send_repeatedly(*kind, *envoy));
        }
    }
    tasks
}

async fn send_repeatedly(kind: Kind, envoy: SocketAddr) {
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
