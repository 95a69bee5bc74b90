//! What the words of servers mean, as the contract of the metrics and the APIs' documents say.

/// The label value of a word for why a choice ended.
pub(super) fn finish_reason(word: &str) -> &'static str {
    match word {
        "stop" | "end_turn" | "stop_sequence" | "completed" => "stop",
        "length" | "max_tokens" | "max_output_tokens" | "model_context_window_exceeded" => "length",
        "tool_calls" | "function_call" | "tool_use" => "tool_calls",
        "content_filter" | "refusal" => "content_filter",
        "abort" | "cancelled" => "abort",
        "error" | "failed" => "error",
        _ => "other",
    }
}

/// Of the event that ends a response: why it ended, if the response itself does not say it.
pub(super) fn end_of_response(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "response.completed" => "completed",
        "response.incomplete" => "length",
        "response.failed" => "failed",
        "response.cancelled" => "cancelled",
        _ => return None,
    })
}
