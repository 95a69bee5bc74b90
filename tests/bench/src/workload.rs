//! The traffic: four requests and their answers, made once, as a vLLM 0.32.0 and its clients write them (compare
//! `tests/fixtures`).

use std::time::Duration;

/// What every request asks for and every answer names.
pub const MODEL: &str = "meta-llama/Llama-3.1-8B-Instruct";
/// The header that tells the upstream which answer is wanted.
pub(crate) const SELECT: &str = "x-bench";
const EVENTS: u64 = 200;
const EVENT_GAP: Duration = Duration::from_millis(2);
const PROMPT_TOKENS: u64 = 24;

/// One kind of traffic.
#[derive(Clone, Debug)]
pub struct Workload {
    /// For the command line and the upstream.
    pub name: &'static str,
    /// For a person.
    pub title: &'static str,
    /// Head and body.
    pub(crate) request: Vec<u8>,
    pub(crate) request_body_bytes: u64,
    pub(crate) answer: Answer,
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
    /// Connections that are busy at once.
    pub(crate) connections: usize,
    /// Requests of one connection in a slice: a tenth of a second of them. Many short slices tell the filters apart where
    /// few long ones only show what else the machine did.
    pub(crate) requests: usize,
}

/// An answer as it goes over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Each is one write.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// Time between two writes.
    pub(crate) gap: Option<Duration>,
    /// Without head and framing.
    pub(crate) body: Vec<u8>,
}

// === impl Workload ===

impl Workload {
    /// All of them; a slice holds so many parts of a hundred of the usual number of requests.
    pub fn all(percent: usize) -> Vec<Self> {
        let part = |requests: usize| (requests * percent / 100).max(1);
        let (small_request, small_answer) = (chat_request("import os", 40, false), chat_answer(60, 16));
        let (large_request, large_answer) = (chat_request("", 220_000, false), chat_answer(64_000, 16_000));
        let stream_request = chat_request("import os", 40, true);
        let whole = |name, title, request: &str, answer: &str, tokens, requests| Self {
            name,
            title,
            request: with_head(name, request),
            request_body_bytes: request.len() as u64,
            answer: Answer::whole(answer),
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
            answer: Answer::stream(gap),
            prompt_tokens: PROMPT_TOKENS,
            completion_tokens: EVENTS,
            connections,
            requests: part(requests),
        };
        vec![
            whole(
                "small",
                "JSON, 200 B / 16 tokens",
                &small_request,
                &small_answer,
                16,
                300,
            ),
            whole(
                "large",
                "JSON, 220 KB / 64 KB",
                &large_request,
                &large_answer,
                16_000,
                50,
            ),
            stream("bulk", "200 events, as fast as it goes", None, 1, 60),
            stream("paced", "200 events, one each 2 ms", Some(EVENT_GAP), 8, 1),
        ]
    }

    /// Requests in a slice.
    pub(crate) fn slice(&self) -> u64 {
        (self.connections * self.requests) as u64
    }

    /// Whether the answer is a stream.
    pub(crate) fn is_stream(&self) -> bool {
        self.answer.pieces.len() > 1
    }
}

// === impl Answer ===

impl Answer {
    fn whole(body: &str) -> Self {
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
        // As vLLM and uvicorn write: an event is a chunk is a write, and the end is one more.
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
        " the", " model", "'s", " answer", ",", " \\n", " as", " it", " goes", " on",
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

/// A conversation of about so many bytes, and the model after it, as most clients write it.
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

/// An answer whose text has about so many bytes.
fn chat_answer(bytes: usize, tokens: u64) -> String {
    let text = prose(bytes);
    format!(
        r#"{{"id":"chatcmpl-913aac33bc3abf62","object":"chat.completion","created":1795491017,"model":"{MODEL}","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}","refusal":null,"annotations":null,"audio":null,"function_call":null,"reasoning":null}},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null,"routed_experts":null}}],"service_tier":null,"system_fingerprint":"vllm-0.32.0-5a599cde","usage":{{"prompt_tokens":{PROMPT_TOKENS},"total_tokens":{},"completion_tokens":{tokens},"prompt_tokens_details":null,"completion_tokens_details":null}},"prompt_logprobs":null,"prompt_token_ids":null,"prompt_text":null,"kv_transfer_params":null,"ec_transfer_params":null,"metrics":null}}"#,
        PROMPT_TOKENS + tokens
    )
}

/// Text as it stands in JSON, an escape each line or so.
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
