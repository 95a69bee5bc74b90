//! Exchanges, sent through the VM callback by callback, with the bytes that vLLM 0.32.0 and its clients write.

use crate::Result;
use crate::envoy::Vm;

const REQUEST: u32 = 0;
const RESPONSE: u32 = 2;

/// A request and its response. Each piece of the response's body is a callback of its own.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The request's headers, without `:method`, `:path` and `content-type`.
    pub request_headers: Vec<(&'static str, String)>,
    /// The request's method.
    pub method: &'static str,
    /// The request's path.
    pub path: &'static str,
    /// The request's body; no callback if it is empty.
    pub request: Vec<u8>,
    /// The response's status.
    pub status: u16,
    /// The response's headers, without `:status`.
    pub response_headers: Vec<(&'static str, String)>,
    /// The response's body. The last piece ends the stream.
    pub response: Vec<Vec<u8>>,
}

// === impl Exchange ===

impl Exchange {
    /// Everything from the stream's creation to its deletion.
    ///
    /// # Errors
    /// If the filter traps.
    pub fn run(&self, vm: &mut Vm, stream: u32) -> Result<()> {
        self.start(vm, stream)?;
        self.body(vm, stream, 0..self.response.len())?;
        Self::end(vm, stream)
    }

    /// Up to the response's headers.
    ///
    /// # Errors
    /// If the filter traps.
    pub fn start(&self, vm: &mut Vm, stream: u32) -> Result<()> {
        vm.callback("proxy_on_context_create", &[stream, 1])?;
        let mut headers = vec![(":method", self.method.to_owned()), (":path", self.path.to_owned())];
        headers.extend(self.request_headers.iter().cloned());
        vm.host().headers.insert(REQUEST, headers);
        vm.callback(
            "proxy_on_request_headers",
            &[stream, 6, u32::from(self.request.is_empty())],
        )?;
        if !self.request.is_empty() {
            vm.host().buffer.clone_from(&self.request);
            vm.callback("proxy_on_request_body", &[stream, self.request.len() as u32, 1])?;
        }
        let mut headers = vec![(":status", self.status.to_string())];
        headers.extend(self.response_headers.iter().cloned());
        vm.host().headers.insert(RESPONSE, headers);
        vm.callback(
            "proxy_on_response_headers",
            &[stream, 4, u32::from(self.response.is_empty())],
        )
    }

    /// Some pieces of the response's body.
    ///
    /// # Errors
    /// If the filter traps.
    pub fn body(&self, vm: &mut Vm, stream: u32, pieces: std::ops::Range<usize>) -> Result<()> {
        for (index, piece) in self.response.iter().enumerate() {
            if pieces.contains(&index) {
                vm.host().buffer.clone_from(piece);
                let is_last = index + 1 == self.response.len();
                vm.callback(
                    "proxy_on_response_body",
                    &[stream, piece.len() as u32, u32::from(is_last)],
                )?;
            }
        }
        Ok(())
    }

    /// The end of the stream: logged, done, deleted.
    ///
    /// # Errors
    /// If the filter traps.
    pub fn end(vm: &mut Vm, stream: u32) -> Result<()> {
        vm.callback("proxy_on_log", &[stream])?;
        vm.callback("proxy_on_done", &[stream])?;
        vm.callback("proxy_on_delete", &[stream])
    }
}

fn exchange(request: &str, content_type: &str, response: Vec<Vec<u8>>) -> Exchange {
    Exchange {
        request_headers: vec![("host", "gateway".to_owned())],
        method: "POST",
        path: "/v1/chat/completions",
        request: request.as_bytes().to_vec(),
        status: 200,
        response_headers: vec![("content-type", content_type.to_owned())],
        response,
    }
}

/// A small request and a small JSON response: 1 KB together.
pub fn small_json() -> Exchange {
    exchange(
        r#"{"messages": [{"role": "user", "content": "import os"}], "model": "meta-llama/Llama-3.1-8B-Instruct", "max_tokens": 16, "temperature": 0}"#,
        "application/json",
        vec![
            br#"{"id":"chatcmpl-913aac33bc3abf62","object":"chat.completion","created":1795491017,"model":"meta-llama/Llama-3.1-8B-Instruct","choices":[{"index":0,"message":{"role":"assistant","content":"The fox said \"no\" and went on through the wood, as foxes do.","refusal":null,"annotations":null,"audio":null,"function_call":null,"reasoning":null},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null,"routed_experts":null}],"service_tier":null,"system_fingerprint":"vllm-0.32.0-5a599cde","usage":{"prompt_tokens":24,"total_tokens":40,"completion_tokens":16,"prompt_tokens_details":null,"completion_tokens_details":null},"prompt_logprobs":null,"prompt_token_ids":null,"prompt_text":null,"kv_transfer_params":null,"ec_transfer_params":null,"metrics":null}"#
                .to_vec(),
        ],
    )
}

/// One event of a stream, with a token.
pub fn event(token: &str) -> Vec<u8> {
    let choice = format!(
        r#""choices":[{{"index":0,"delta":{{"content":"{token}"}},"logprobs":null,"finish_reason":null,"token_ids":null}}]"#
    );
    wire_event(&choice)
}

fn wire_event(choices: &str) -> Vec<u8> {
    format!(
        "data: {{\"id\":\"chatcmpl-913aac33bc3abf62\",\"object\":\"chat.completion.chunk\",\"created\":1795491017,\
         \"model\":\"meta-llama/Llama-3.1-8B-Instruct\",{choices}}}\n\n"
    )
    .into_bytes()
}

/// A stream with this number of tokens, one event in each piece, then its finish reason, its usage and the end marker.
pub fn stream(tokens: usize) -> Exchange {
    let words = ["The", " fox", " said", " \\\"no\\\"", " and", " went"];
    let mut events: Vec<_> = words.iter().cycle().take(tokens).map(|word| event(word)).collect();
    events.push(wire_event(
        r#""choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null}]"#,
    ));
    events.push(wire_event(&format!(
        r#""choices":[],"usage":{{"prompt_tokens":24,"total_tokens":{},"completion_tokens":{tokens}}}"#,
        24 + tokens
    )));
    events.push(b"data: [DONE]\n\n".to_vec());
    exchange(
        r#"{"messages": [{"role": "user", "content": "import os"}], "model": "meta-llama/Llama-3.1-8B-Instruct", "stream": true, "stream_options": {"include_usage": true}}"#,
        "text/event-stream; charset=utf-8",
        events,
    )
}
