//! The demo's traffic: what clients of model servers really send, and what really goes wrong.

use std::net::SocketAddr;

use infertally_harness::Result;
use infertally_harness::client;
use infertally_oracle::{Completion, Facts, read};
use serde_json::{Value, json};

pub(crate) const BASE: &str = "tiny";
pub(crate) const ADAPTER: &str = "lora-a";

/// Requests of one kind.
pub(crate) struct Sent {
    pub(crate) title: &'static str,
    pub(crate) count: usize,
    pub(crate) requests: Vec<Request>,
}

pub(crate) struct Request {
    path: &'static str,
    behaviour: &'static str,
    body: Vec<u8>,
    end: Completion,
}

// === impl Request ===

impl Request {
    /// Sends it and reads what came back.
    pub(crate) async fn send(&self, listener: SocketAddr) -> Result<Facts> {
        let request = client::request("POST", self.path, &[("x-sim", self.behaviour)], &self.body);
        let answer = match self.end {
            // The server sends three events and then nothing, so it is known what the client has seen.
            Completion::ClientDisconnect => client::disconnect_after_events(listener, &request, 3).await?,
            Completion::Complete | Completion::UpstreamReset => {
                client::exchange(listener, &request, usize::MAX).await?.response
            }
        };
        Ok(read(self.path, &self.body, &answer, self.end)?)
    }
}

fn chat(model: &str, tokens: usize) -> Value {
    json!({"model": model, "max_tokens": tokens, "messages": [{"role": "user", "content": "What is your favourite movie?"}]})
}

fn stream(model: &str, tokens: usize) -> Value {
    with(
        chat(model, tokens),
        json!({"stream": true, "stream_options": {"include_usage": true}}),
    )
}

fn with(mut body: Value, more: Value) -> Value {
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

fn kind(
    title: &'static str,
    count: usize,
    behaviour: &'static str,
    end: Completion,
    body: impl Fn(usize) -> Vec<u8>,
) -> Sent {
    let request = |n| Request {
        path: "/v1/chat/completions",
        behaviour,
        body: body(n),
        end,
    };
    Sent {
        title,
        count,
        requests: (0..count).map(request).collect(),
    }
}

/// A request whose answer begins and never ends, so that it keeps its place.
pub(crate) fn held() -> Vec<u8> {
    let body = stream(BASE, 200).to_string();
    client::request(
        "POST",
        "/v1/chat/completions",
        &[("x-sim", "hang=event:3")],
        body.as_bytes(),
    )
}

/// All of it, in order.
pub(crate) fn traffic() -> Vec<Sent> {
    [well(), strange(), faulty()].into_iter().flatten().collect()
}

fn json(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

/// What goes well.
pub(crate) fn well() -> Vec<Sent> {
    let whole = Completion::Complete;
    vec![
        kind("JSON answer", 10, "delay=3ms", whole, |n| json(&chat(BASE, 8 + n))),
        kind("stream, usage asked for", 10, "gap=1ms", whole, |n| {
            json(&stream(BASE, 20 + n))
        }),
        kind(
            "stream, usage asked for, one byte at a time",
            2,
            "chunk=1",
            whole,
            |n| json(&stream(BASE, 5 + n)),
        ),
        kind(
            "stream, no usage asked for: its tokens stay unknown",
            3,
            "",
            whole,
            |n| json(&with(chat(BASE, 5 + n), json!({"stream": true}))),
        ),
        kind("stream of a LoRA adapter", 5, "gap=1ms", whole, |n| {
            json(&stream(ADAPTER, 10 + n))
        }),
        kind(
            "no model in the request: the server's own is counted",
            2,
            "",
            whole,
            |_| json(&json!({"messages": [{"role": "user", "content": "Hello"}]})),
        ),
    ]
}

/// Requests that name no model that is there.
fn strange() -> Vec<Sent> {
    vec![
        kind("a model that nobody has: 404", 2, "", Completion::Complete, |_| {
            json(&chat("no-such-model", 8))
        }),
        kind("a body that is no JSON: 400", 1, "", Completion::Complete, |_| {
            b"{\"model\": \"tiny\", ".to_vec()
        }),
    ]
}

/// What goes wrong behind Envoy, or at the client.
pub(crate) fn faulty() -> Vec<Sent> {
    vec![
        kind(
            "the server is overloaded: 503",
            2,
            "status=503",
            Completion::Complete,
            |_| json(&chat(BASE, 8)),
        ),
        kind(
            "the server reports an error in the middle of a stream",
            1,
            "error=event:4",
            Completion::Complete,
            |_| json(&stream(BASE, 20)),
        ),
        kind(
            "the server dies in the middle of a stream",
            1,
            "cut=event:4",
            Completion::UpstreamReset,
            |_| json(&stream(BASE, 20)),
        ),
        kind(
            "the client leaves in the middle of a stream: no error",
            2,
            "hang=event:3",
            Completion::ClientDisconnect,
            |_| json(&stream(BASE, 20)),
        ),
    ]
}
