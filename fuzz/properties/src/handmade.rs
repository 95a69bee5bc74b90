//! Responses that no capture holds: what the formats allow and servers rarely send.

use infertally_filter::route::Api;

#[derive(Clone, Copy, Debug)]
pub(crate) struct HandmadeResponse {
    pub(crate) name: &'static str,
    pub(crate) api: Api,
    pub(crate) is_stream: bool,
    pub(crate) body: &'static str,
}

pub(crate) const RESPONSES: [HandmadeResponse; 14] = [
    document(
        "handmade-chat-duplicate-keys",
        Api::Chat,
        r#"{"model":"a","model":"\ud83d\u0041\ud83d\ude00","choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":1},"choices":[{"finish_reason":"length","finish_reason":null},{"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":5,"completion_tokens":8,"prompt_tokens_details":{"cached_tokens":3},"prompt_tokens_details":{},"completion_tokens_details":{"reasoning_tokens":2},"completion_tokens_details":null}}"#,
    ),
    document(
        "handmade-responses-incomplete",
        Api::Responses,
        r#"{"object":"response","model":"a","status":"incomplete","incomplete_details":{"reason":"content_filter"},"usage":{"input_tokens":5,"output_tokens":8,"input_tokens_details":{"cached_tokens":1},"output_tokens_details":{"reasoning_tokens":2}}}"#,
    ),
    document(
        "handmade-responses-queued",
        Api::Responses,
        r#"{"model":"a","status":"queued","usage":null}"#,
    ),
    document(
        "handmade-messages",
        Api::Messages,
        r#"{"type":"message","model":"a","stop_reason":"refusal","usage":{"input_tokens":5,"output_tokens":8,"cache_read_input_tokens":2,"cache_creation_input_tokens":9}}"#,
    ),
    stream(
        "handmade-chat-malformed-event",
        Api::Chat,
        "data: {\"model\":\"a\",\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":4}]\n\ndata: {\"model\":\"b\",\"choices\":[]}\n\ndata: {\"choices\":[{\"index\":1,\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":5}}\n\ndata: [DONE]\n\n",
    ),
    stream(
        "handmade-completions-choices",
        Api::Completions,
        "data: {\"choices\":[{\"index\":1,\"token_ids\":[1,2]},{\"index\":0,\"token_ids\":null}]}\n\ndata: {\"choices\":[{\"index\":1,\"finish_reason\":\"stop\",\"token_ids\":[]},{\"index\":1,\"finish_reason\":\"length\"},{\"index\":2000,\"finish_reason\":\"abort\"}]}\n\ndata: {\"error\":null,\"object\":\"error\"}\n\n",
    ),
    stream(
        "handmade-responses-failed",
        Api::Responses,
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"model\":\"a\",\"status\":\"in_progress\",\"incomplete_details\":null,\"usage\":null}}\n\nevent: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"model\":\"b\",\"status\":\"failed\",\"usage\":{\"input_tokens\":5,\"output_tokens\":3}}}\n\n",
    ),
    stream(
        "handmade-responses-named-only",
        Api::Responses,
        "event: response.incomplete\ndata: {\"response\":{\"model\":\"a\",\"incomplete_details\":{\"reason\":\"max_output_tokens\"},\"usage\":{\"output_tokens\":8,\"output_tokens_details\":{\"reasoning_tokens\":2}}}}\n\ndata: {\"response\":{\"usage\":{\"output_tokens\":9}}}\n\n",
    ),
    stream(
        "handmade-responses-malformed-event",
        Api::Responses,
        "data: {\"type\":\"response.completed\",\"type\":7,\"error\":null}\n\ndata: {\"type\":\"response.completed\",\"response\":{\"model\":\"a\",\"status\":\"completed\",\"usage\":{\"input_tokens\":4}}]\n\ndata: {\"type\":\"response.in_progress\",\"response\":{}}\n\ndata: {\"type\":\"response.cancelled\",\"response\":{\"model\":\"b\",\"model\":\"c\"}}\n\n",
    ),
    stream(
        "handmade-responses-error",
        Api::Responses,
        "data: {\"type\":\"response.output_text.delta\",\"delta\":\"response.failed\"}\n\ndata: {\"error\":{\"message\":\"x\"}}\n\ndata: {\"type\":\"error\",\"message\":\"y\"}\n\ndata: [DONE]\n\n",
    ),
    stream(
        "handmade-messages-cumulative",
        Api::Messages,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"a\",\"usage\":{\"input_tokens\":4,\"output_tokens\":1,\"cache_read_input_tokens\":2}}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":null},\"usage\":{\"output_tokens\":4}}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"input_tokens\":5,\"output_tokens\":8}}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"message\":{\"model\":\"b\"}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\ndata: {\"usage\":{\"output_tokens\":9}}\n\n",
    ),
    stream(
        "handmade-messages-malformed-event",
        Api::Messages,
        "data: {\"type\":\"message_stop\",\"type\":null,\"error\":null}\n\ndata: {\"message\":{\"model\":\"a\",\"usage\":{\"input_tokens\":4}},\"delta\":{\"stop_reason\":\"refusal\"},\"type\":\"message_stop\"]\n\ndata: {\"message\":{\"model\":\"b\"}}\n\ndata: {\"delta\":{\"stop_reason\":\"max_tokens\"},\"usage\":{\"output_tokens\":8}}\n\nevent: message_stop\ndata: {}\n\n",
    ),
    stream(
        "handmade-messages-error",
        Api::Messages,
        "data: {\"message\":{\"usage\":{\"output_tokens\":3}}}\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n",
    ),
    stream(
        "handmade-messages-error-of-another-api",
        Api::Messages,
        "data: {\"error\":null}\n\ndata: {\"error\":{\"message\":\"x\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
    ),
];

const fn document(name: &'static str, api: Api, body: &'static str) -> HandmadeResponse {
    HandmadeResponse {
        name,
        api,
        is_stream: false,
        body,
    }
}

const fn stream(name: &'static str, api: Api, body: &'static str) -> HandmadeResponse {
    HandmadeResponse {
        name,
        api,
        is_stream: true,
        body,
    }
}
