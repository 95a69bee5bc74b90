//! The traffic: requests and their responses, generated once, with the bytes that vLLM 0.32.0 and its clients write (see
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
    pub name: String,
    /// The title in the tables.
    pub title: String,
    /// Head and body of requests that are sent in turn.
    pub(crate) requests: Vec<Vec<u8>>,
    /// Of each request.
    pub(crate) request_body_bytes: u64,
    pub(crate) response: Response,
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
    /// Concurrent connections.
    pub(crate) connections: usize,
    /// Requests per connection in a slice, which takes about a tenth of a second. Many short slices show the differences
    /// between filters; a few long ones would mostly show other work on the machine.
    pub(crate) repeats: usize,
}

/// A response as it is written to the connection.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// One write each.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// Time between two writes.
    pub(crate) gap: Option<Duration>,
    /// The connection stays open after the last write, until the peer closes it.
    pub(crate) hangs: bool,
    /// The body without its framing.
    pub(crate) body: Vec<u8>,
}

// === impl Workload ===

impl Workload {
    /// The four workloads of the tables, with slices of `percent` of the usual number of requests.
    pub fn all(percent: usize) -> Vec<Self> {
        let part = |repeats: usize| (repeats * percent / 100).max(1);
        vec![
            Self::json("small", "JSON, 200 B / 16 tokens", 40, 60, 16).repeated(part(300)),
            Self::json("large", "JSON, 220 KB / 64 KB", 220_000, 64_000, 16_000).repeated(part(50)),
            Self::stream("bulk", "200 events without pauses", EVENTS, None).repeated(part(60)),
            Self {
                connections: 8,
                ..Self::stream("paced", "200 events, one every 2 ms", EVENTS, Some(EVENT_GAP))
            },
        ]
    }

    /// Requests with a text of about `request_bytes`, and a JSON response with one of about `response_bytes`.
    pub(crate) fn json(name: &str, title: &str, request_bytes: usize, response_bytes: usize, tokens: u64) -> Self {
        let request = chat_request(MODEL, request_bytes, false);
        let response = Response::json(&chat_response(response_bytes, tokens));
        Self::new(name, title, &[request], response, tokens)
    }

    /// Requests for a stream of `events` events with content.
    pub(crate) fn stream(name: &str, title: &str, events: u64, gap: Option<Duration>) -> Self {
        let request = chat_request(MODEL, 40, true);
        Self::new(name, title, &[request], Response::stream(events, gap), events)
    }

    /// Small JSON exchanges that name `models` models in turn.
    pub(crate) fn models(name: &str, title: &str, models: usize) -> Self {
        let request = |model| chat_request(&format!("model-{model:04}"), 40, false);
        let requests: Vec<_> = (0..models).map(request).collect();
        Self::new(name, title, &requests, Response::json(&chat_response(60, 16)), 16)
    }

    /// Streams that stay open after the first event, until their connection is closed. (More events of a hundred streams
    /// would fill the flow-control window of their connection.)
    pub(crate) fn held(name: &str) -> Self {
        let mut workload = Self::stream(name, name, EVENTS, None);
        workload.response.pieces.truncate(2);
        workload.response.hangs = true;
        workload
    }

    fn new(name: &str, title: &str, requests: &[String], response: Response, tokens: u64) -> Self {
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            requests: requests.iter().map(|request| with_head(name, request)).collect(),
            request_body_bytes: requests.first().map_or(0, |request| request.len() as u64),
            response,
            prompt_tokens: PROMPT_TOKENS,
            completion_tokens: tokens,
            connections: 1,
            repeats: 1,
        }
    }

    pub(crate) fn repeated(self, repeats: usize) -> Self {
        Self { repeats, ..self }
    }

    /// Requests in a slice, over all connections.
    pub(crate) fn slice(&self) -> u64 {
        (self.connections * self.repeats) as u64
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
            hangs: false,
            body: body.as_bytes().to_vec(),
        }
    }

    fn stream(events: u64, gap: Option<Duration>) -> Self {
        let head = "HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        let events = self::events(events);
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
            hangs: false,
            body: events.concat().into_bytes(),
        }
    }
}

fn events(count: u64) -> Vec<String> {
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
    let tokens = (1..count).zip(words.iter().cycle()).map(|(_, word)| {
        event(&format!(
            r#""choices":[{{"index":0,"delta":{{"content":"{word}"}},"logprobs":null,"finish_reason":null,"token_ids":null}}]"#
        ))
    });
    let last = event(
        r#""choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null}]"#,
    );
    let usage = event(&format!(
        r#""choices":[],"usage":{{"prompt_tokens":{PROMPT_TOKENS},"total_tokens":{},"completion_tokens":{count}}},"system_fingerprint":"vllm-0.32.0-5a599cde""#,
        PROMPT_TOKENS + count
    ));
    std::iter::once(role)
        .chain(tokens)
        .chain([last, usage, "data: [DONE]\n\n".to_owned()])
        .collect()
}

/// A request with a conversation of about `bytes` bytes, and the model after it, the order that most clients use.
fn chat_request(model: &str, bytes: usize, stream: bool) -> String {
    const TURN_BYTES: usize = 20_000;
    let turns = bytes.div_ceil(TURN_BYTES);
    let messages: Vec<_> = ["user", "assistant"]
        .iter()
        .cycle()
        .take(turns)
        .map(|role| {
            let text = prose(bytes / turns);
            format!(r#"{{"role": "{role}", "content": "{text}"}}"#)
        })
        .collect();
    let stream = if stream {
        r#", "stream": true, "stream_options": {"include_usage": true}"#
    } else {
        ""
    };
    format!(
        r#"{{"messages": [{}], "model": "{model}", "max_tokens": 16, "temperature": 0{stream}}}"#,
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
