//! The demo's traffic: typical requests to model servers, and typical faults.

use std::net::SocketAddr;

use infertally_harness::Result;
use infertally_harness::client;
use infertally_oracle::{Completion, Facts, read};
use serde_json::{Value, json};

pub(crate) const BASE: &str = "tiny";
pub(crate) const ADAPTER: &str = "lora-a";

/// Requests of one kind.
pub(crate) struct Batch {
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
    /// Sends the request and interprets the response independently of the filter.
    pub(crate) async fn send(&self, listener: SocketAddr) -> Result<Facts> {
        let request = client::request("POST", self.path, &[("x-sim", self.behaviour)], &self.body);
        let response = match self.end {
            // The server sends three events and then hangs, so the client has received exactly those.
            Completion::ClientDisconnect => client::disconnect_after_events(listener, &request, 3).await?,
            Completion::Complete | Completion::UpstreamReset => {
                client::exchange(listener, &request, usize::MAX).await?.response
            }
        };
        Ok(read(self.path, &self.body, &response, self.end)?)
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

fn batch(
    title: &'static str,
    count: usize,
    behaviour: &'static str,
    end: Completion,
    body: impl Fn(usize) -> Vec<u8>,
) -> Batch {
    let request = |n| Request {
        path: "/v1/chat/completions",
        behaviour,
        body: body(n),
        end,
    };
    Batch {
        title,
        count,
        requests: (0..count).map(request).collect(),
    }
}

/// A request whose response starts and never completes, so that it stays running.
pub(crate) fn hanging() -> Vec<u8> {
    let body = stream(BASE, 200).to_string();
    client::request(
        "POST",
        "/v1/chat/completions",
        &[("x-sim", "hang=event:3")],
        body.as_bytes(),
    )
}

/// All traffic, in order.
pub(crate) fn traffic() -> Vec<Batch> {
    [healthy(), invalid(), faults()].into_iter().flatten().collect()
}

fn json(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

/// Requests that succeed.
pub(crate) fn healthy() -> Vec<Batch> {
    let complete = Completion::Complete;
    vec![
        batch("JSON response", 10, "delay=3ms", complete, |n| json(&chat(BASE, 8 + n))),
        batch("stream with usage", 10, "gap=1ms", complete, |n| {
            json(&stream(BASE, 20 + n))
        }),
        batch("stream with usage, one byte per chunk", 2, "chunk=1", complete, |n| {
            json(&stream(BASE, 5 + n))
        }),
        batch("stream without usage: its tokens are unknown", 3, "", complete, |n| {
            json(&with(chat(BASE, 5 + n), json!({"stream": true})))
        }),
        batch("stream from a LoRA adapter", 5, "gap=1ms", complete, |n| {
            json(&stream(ADAPTER, 10 + n))
        }),
        batch(
            "request without a model: the model of the response counts",
            2,
            "",
            complete,
            |_| json(&json!({"messages": [{"role": "user", "content": "Hello"}]})),
        ),
    ]
}

/// Requests that the model server rejects.
fn invalid() -> Vec<Batch> {
    vec![
        batch("unknown model: 404", 2, "", Completion::Complete, |_| {
            json(&chat("no-such-model", 8))
        }),
        batch("request body is not JSON: 400", 1, "", Completion::Complete, |_| {
            b"{\"model\": \"tiny\", ".to_vec()
        }),
    ]
}

/// Faults of the model server, and cancelled requests.
pub(crate) fn faults() -> Vec<Batch> {
    vec![
        batch(
            "model server overloaded: 503",
            2,
            "status=503",
            Completion::Complete,
            |_| json(&chat(BASE, 8)),
        ),
        batch(
            "model server reports an error within a stream",
            1,
            "error=event:4",
            Completion::Complete,
            |_| json(&stream(BASE, 20)),
        ),
        batch(
            "model server closes the connection within a stream",
            1,
            "cut=event:4",
            Completion::UpstreamReset,
            |_| json(&stream(BASE, 20)),
        ),
        batch(
            "client cancels within a stream: not an error",
            2,
            "hang=event:3",
            Completion::ClientDisconnect,
            |_| json(&stream(BASE, 20)),
        ),
    ]
}
