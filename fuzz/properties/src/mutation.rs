//! Deterministic mutations of inputs, for runs without libFuzzer.

/// The tokens of the formats; libFuzzer's dictionary too.
pub const TOKENS: [&str; 122] = [
    "data:",
    "data: ",
    "event: error\n",
    "event:",
    "id: 1\n",
    ": ping\n",
    "[DONE]",
    "data: [DONE]\n\n",
    "\n\n",
    "\r",
    "\r\n",
    "\n",
    "\u{feff}",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0065",
    "\\ud83d",
    "\\ude00",
    "\"model\":\"tiny\"",
    "\"model\":\"lora\",",
    "\"model\":null,",
    "\"model\":{\"model\":",
    "\"usage\":{",
    "\"usage\":null,",
    "\"usage\":{},",
    "\"usage\":{\"prompt_tokens\":5},",
    "\"prompt_tokens\":",
    "\"completion_tokens\":",
    "\"input_tokens\":5,",
    "\"output_tokens\":-1,",
    "\"prompt_tokens\":12.0e1,",
    "\"completion_tokens\":7,",
    "\"prompt_tokens_details\":{\"cached_tokens\":2},",
    "\"prompt_tokens_details\":null,",
    "\"output_tokens_details\":{\"reasoning_tokens\":3},",
    "\"stream_options\":{\"include_usage\":true},",
    "\"stream_options\":null,",
    "\"token_ids\":[1,2],",
    "\"index\":1,",
    "\"type\":\"message_stop\",",
    "\"type\":\"error\",",
    "\"type\":\"response.completed\",",
    "event: response.failed\n",
    "event: message_stop\n",
    "\"message\":{",
    "\"response\":{",
    "\"response\":{\"usage\":{\"input_tokens\":5}},",
    "\"incomplete_details\":{\"reason\":\"max_output_tokens\"},",
    "\"delta\":{\"stop_reason\":\"tool_use\"},",
    "\"error\":{},",
    "\"status\":\"incomplete\",",
    "\"choices\":[{",
    "\"finish_reason\":\"stop\"",
    "\"error\":{",
    "\"object\":\"error\"",
    "null",
    "-1",
    "18446744073709551616",
    "NaN",
    "\"data\":[",
    "\"id\":\"lora-a\",",
    "\"parent\":\"tiny\",",
    "vLLMLoRAConfig:\n",
    "  port: 8000\n",
    "  host: https://[::1]\n",
    "  defaultBaseModel: tiny\n",
    "  ensureExist:\n    models:\n",
    "  ensureNotExist: {models: [{id: a}]}\n",
    "    - id: a\n      source: /a\n",
    "      base-model: tiny\n",
    "    - {source: '/a', id: \"b\"}\n",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "|-\n",
    "# ",
    "---\n",
    "# EOF\n",
    "# HELP a b\n",
    "# TYPE a gauge\n",
    "vllm:num_requests_waiting{",
    "vllm:num_requests_waiting 1\n",
    "vllm:num_requests_running{engine=\"0\"} 2.0\n",
    "vllm:kv_cache_usage_perc 0.5\n",
    "vllm:lora_requests_info{max_lora=\"4\",running_lora_adapters=\"a,b\",waiting_lora_adapters=\"\"} 1e9\n",
    "sglang:num_running_reqs{priority=\"\",tp_rank=\"1\"} 3\n",
    "sglang:token_usage 1\n",
    "{\"a b\",c=\"d\"} 1\n",
    "le=\"+Inf\"",
    "\"} ",
    "=\"",
    "\\n",
    "\\\"",
    "+Inf",
    "1e-400",
    " 1795491067191\n",
    " # {a=\"b\"} 1\n",
    "inference_model_request_total{model_name=\"a\",target_model_name=\"b\"} 1\n",
    "inference_model_input_tokens_bucket{",
    "inference_model_input_tokens_sum{",
    "model_name=\"a\",target_model_name=\"b\",",
    "inference_model_request_duration_microseconds_total{",
    "a=http://10.0.0.1:8000 role=decode\n",
    "https://[::1]",
    "8000,8001",
    "prometheus.io/path",
    "//",
    "?",
    "%00",
    "\"error_message\":",
    "\"message\":\"",
    "already been loaded",
    "is already loaded",
    "cannot be found",
    "does not exist",
];
/// Limit of a mutated input.
const MAX_INPUT: usize = 1 << 16;
/// About the number of leading bytes that choose, in any target.
const MAX_CHOICES: usize = 16;
/// Limit of the changes to one input.
const MAX_CHANGES: usize = 4;

/// A pseudo-random source of inputs.
#[derive(Debug)]
pub struct Mutator {
    state: u64,
}

// === impl Mutator ===

impl Mutator {
    /// The same seed yields the same inputs.
    pub fn new(seed: u64) -> Self {
        Self { state: seed | 1 }
    }

    /// One of these inputs, with one to four changes.
    pub fn mutate(&mut self, inputs: &[&[u8]]) -> Vec<u8> {
        let mut input = self.one_of(inputs).to_vec();
        for _ in 0..=self.below(MAX_CHANGES) {
            self.change(&mut input, inputs);
        }
        input.truncate(MAX_INPUT);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, inputs: &[&[u8]]) {
        // The bytes that choose are few and would rarely change otherwise.
        let end = if self.below(4) == 0 {
            input.len().min(MAX_CHOICES)
        } else {
            input.len()
        };
        let at = self.below(end + 1);
        match self.below(7) {
            0 => {
                let bit = self.below(8);
                input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit);
            }
            1 => {
                let new = self.below(256) as u8;
                input.iter_mut().skip(at).take(1).for_each(|byte| *byte = new);
            }
            2 => input.truncate(at),
            3 => {
                let end = (at + self.below(64)).min(input.len());
                input.drain(at..end);
            }
            4 => {
                let again: Vec<u8> = input.iter().skip(at).take(self.below(300)).copied().collect();
                input.splice(at..at, again);
            }
            5 => {
                let other = self.one_of(inputs);
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend(other.iter().skip(from));
            }
            _ => {
                let token = TOKENS.get(self.below(TOKENS.len())).copied().unwrap_or_default();
                // Mostly where a member or a line may start.
                let starts = |byte: &u8| matches!(byte, b'{' | b',' | b'\n');
                let next = input.iter().skip(at).position(starts).map(|after| at + after + 1);
                let at = next.filter(|_| self.below(4) > 0).unwrap_or(at);
                input.splice(at..at, token.bytes());
            }
        }
    }

    fn one_of<'a>(&mut self, inputs: &[&'a [u8]]) -> &'a [u8] {
        inputs.get(self.below(inputs.len())).copied().unwrap_or_default()
    }

    /// A number below `end`; 0 if `end` is 0.
    fn below(&mut self, end: usize) -> usize {
        // Marsaglia's xorshift64.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as usize % end.max(1)
    }
}
