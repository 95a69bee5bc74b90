//! Identifiers of the JSON values that the readers extract. All readers share one type, so that the scanner is compiled
//! once; each handles those in its own paths.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// `type` of an event.
    Type,
    Model,
    Choices,
    Choice,
    Index,
    FinishReason,
    TokenIds,
    TokenId,
    Error,
    /// `object`: OpenAI's type of a document.
    Object,
    /// `status` of a response.
    Status,
    IncompleteReason,
    /// `stop_reason` of a message.
    StopReason,
    Usage(UsageField),
    /// Usage in `message_start`.
    StartUsage(UsageField),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UsageField {
    /// The usage object itself.
    All,
    Input,
    Output,
    InputDetails,
    CachedInput,
    OutputDetails,
    ReasoningOutput,
    /// `reasoning_tokens` in the usage object itself.
    TopReasoningOutput,
    CacheRead,
    CacheCreation,
    /// `type`: `tokens` or `duration`.
    Type,
    Seconds,
}
