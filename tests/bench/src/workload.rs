//! The traffic: four requests and their responses, generated once, with the bytes that vLLM 0.32.0 and its clients write (see
//! `tests/fixtures`).

use std::time::Duration;

/// The model of all requests and responses.
pub const MODEL: &str = "meta-llama/Llama-3.1-8B-Instruct";
/// The request header that selects the upstream's response.
pub(crate) const SELECT: &str = "x-bench";
const EVENTS: u64 = 200;
const EVENT_GAP: Duration = Duration::from_millis(2);
const PROMPT_TOKENS: u64 = 24;

/// One kind of traffic.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The name for the command line and the upstream.
    pub name: &'static str,
    /// The title in the tables.
    pub title: &'static str,
    /// Head and body.
    pub(crate) request: Vec<u8>,
    pub(crate) request_body_bytes: u64,
    pub(crate) response: Response,
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
    /// Concurrent connections.
    pub(crate) connections: usize,
    /// Requests per connection in a slice, which takes about a tenth of a second. Many short slices show the differences
    /// between filters; a few long ones would mostly show other work on the machine.
    pub(crate) requests: usize,
}

/// A response as it is written to the connection.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// One write each.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// Time between two writes.
    pub(crate) gap: Option<Duration>,
    /// The body without its framing.
    pub(crate) body: Vec<u8>,
}

// === impl Workload ===

impl Workload {
    /// Returns all workloads, with slices of `percent` of the usual number of requests.
    pub fn all(percent: usize) -> Vec<Self> {
        let part = |requests: usize| (requests * percent / 100).max(1);
        let (small_request, small_response) = (chat_request("import os", 40, false), chat_response(60, 16));
        let (large_request, large_response) = (chat_request("", 220_000, false), chat_response(64_000, 16_000));
        let stream_request = chat_request("import os", 40, true);
        let json = |name, title, request: &str, response: &str, tokens, requests| Self {
            name,
            title,
            request: with_head(name, request),
            request_body_bytes: request.len() as u64,
            response: Response::json(response),
            prompt_tokens: PROMPT_TOKENS,
            completion_tokens: tokens,
            connections: 1,
            requests: part(requests),
        };
        let stream = |name, title, gap, connections, requests| Self {
            name,
            title,
            request: with_head(name, &stream_request),
            request_body_bytes: stream_request.len() as u64,
            response: Response::stream(gap),
            prompt_tokens: PROMPT_TOKENS,
            completion_tokens: EVENTS,
            connections,
            requests: part(requests),
        };
        vec![
            json(
                "small",
                "JSON, 200 B / 16 tokens",
                &small_request,
                &small_response,
                16,
                300,
            ),
            json(
                "large",
                "JSON, 220 KB / 64 KB",
                &large_request,
                &large_response,
                16_000,
                50,
            ),
            stream("bulk", "200 events without pauses", None, 1, 60),
            stream("paced", "200 events, one every 2 ms", Some(EVENT_GAP), 8, 1),
        ]
    }

    /// Requests in a slice, over all connections.
    pub(crate) fn slice(&self) -> u64 {
        (self.connections * self.requests) as u64
    }

    /// Whether the response is an SSE stream.
    pub(crate) fn is_stream(&self) -> bool {
        self.response.pieces.len() > 1
    }
}

// === impl Response ===

impl Response {
    fn json(body: &str) -> Self {
        let head = format!(
            "HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-length: {}\r\ncontent-type: application/json\r\n\r\n",
            body.len()
        );
        Self {
            pieces: vec![(head + body).into_bytes()],
            gap: None,
            body: body.as_bytes().to_vec(),
        }
    }

    fn stream(gap: Option<Duration>) -> Self {
        let head = "HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        let events = events();
        // Like vLLM with uvicorn: every event is a chunk and a write, and the last chunk is another write.
        let chunks = events.iter().map(|event| format!("{:x}\r\n{event}\r\n", event.len()));
        let pieces = std::iter::once(head.to_owned())
            .chain(chunks)
            .chain(["0\r\n\r\n".to_owned()])
            .map(String::into_bytes)
            .collect();
        Self {
            pieces,
            gap,
            body: events.concat().into_bytes(),
        }
    }
}

fn events() -> Vec<String> {
    let event = |rest: &str| {
        format!(
            r#"data: {{"id":"chatcmpl-b6778d8a15685785","object":"chat.completion.chunk","created":1795491032,"model":"{MODEL}",{rest}}}"#
        ) + "\n\n"
    };
    let words = [
        " the", " model", "'s", " output", ",", " \\n", " as", " it", " goes", " on",
    ];
    let role = event(
        r#""choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null,"prompt_text":null"#,
    );
    let tokens = (1..EVENTS).zip(words.iter().cycle()).map(|(_, word)| {
        event(&format!(
            r#""choices":[{{"index":0,"delta":{{"content":"{word}"}},"logprobs":null,"finish_reason":null,"token_ids":null}}]"#
        ))
    });
    let last = event(
        r#""choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null}]"#,
    );
    let usage = event(&format!(
        r#""choices":[],"usage":{{"prompt_tokens":{PROMPT_TOKENS},"total_tokens":{},"completion_tokens":{EVENTS}}},"system_fingerprint":"vllm-0.32.0-5a599cde""#,
        PROMPT_TOKENS + EVENTS
    ));
    std::iter::once(role)
        .chain(tokens)
        .chain([last, usage, "data: [DONE]\n\n".to_owned()])
        .collect()
}

/// A request with a conversation of about `bytes` bytes, and the model after it, the order that most clients use.
fn chat_request(first: &str, bytes: usize, stream: bool) -> String {
    const TURN_BYTES: usize = 20_000;
    let turns = bytes.div_ceil(TURN_BYTES);
    let messages: Vec<_> = ["user", "assistant"]
        .iter()
        .cycle()
        .take(turns)
        .map(|role| {
            let text = prose(bytes / turns);
            format!(r#"{{"role": "{role}", "content": "{first}{text}"}}"#)
        })
        .collect();
    let stream = if stream {
        r#", "stream": true, "stream_options": {"include_usage": true}"#
    } else {
        ""
    };
    format!(
        r#"{{"messages": [{}], "model": "{MODEL}", "max_tokens": 16, "temperature": 0{stream}}}"#,
        messages.join(", ")
    )
}

/// A response with a text of about `bytes` bytes.
fn chat_response(bytes: usize, tokens: u64) -> String {
    let text = prose(bytes);
    format!(
        r#"{{"id":"chatcmpl-913aac33bc3abf62","object":"chat.completion","created":1795491017,"model":"{MODEL}","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null,"annotations":null,"audio":null,"function_call":null,"reasoning":null}},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null,"routed_experts":null}}],"service_tier":null,"system_fingerprint":"vllm-0.32.0-5a599cde","usage":{{"prompt_tokens":{PROMPT_TOKENS},"total_tokens":{},"completion_tokens":{tokens},"prompt_tokens_details":null,"completion_tokens_details":null}},"prompt_logprobs":null,"prompt_token_ids":null,"prompt_text":null,"kv_transfer_params":null,"ec_transfer_params":null,"metrics":null}}"#,
        PROMPT_TOKENS + tokens
    )
}

/// Text in its JSON form, with an escape in each line.
fn prose(bytes: usize) -> String {
    const LINE: &str =
        r#"The fox said \"no\" and went on through the wood, as foxes in such stories do, and the hen stayed.\n"#;
    let mut text = LINE.repeat(bytes / LINE.len());
    text.extend(std::iter::repeat_n('x', bytes - text.len()));
    text
}

fn with_head(name: &str, body: &str) -> Vec<u8> {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nuser-agent: bench/1\r\naccept: */*\r\n{SELECT}: {name}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
