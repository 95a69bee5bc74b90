//! The words of servers as label values: finish reasons, and error codes by status.

/// The finish reason that a server's word stands for.
pub(crate) fn finish_reason(word: &str) -> &'static str {
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

/// The word for why a response ended, from the event that ends its stream.
pub(crate) fn end_of_response(event: &str) -> Option<&'static str> {
    Some(match event {
        "response.completed" => "completed",
        "response.incomplete" => "length",
        "response.failed" => "failed",
        "response.cancelled" => "cancelled",
        _ => return None,
    })
}

/// The error code of a status, whoever made it.
pub(crate) fn error_code(status: u16) -> Option<&'static str> {
    Some(match status {
        ..400 => return None,
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        408 | 504 => "Timeout",
        429 => "ResourceExhausted",
        502 | 503 => "ServiceUnavailable",
        400..500 => "BadRequest",
        500.. => "ModelServerError",
    })
}
