//! The values that answers hold, under the names that the readers know them by. All readers share these, so that the
//! scanner's code is there once; each reads those of its own paths.

/// A value of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// The kind of an event.
    Type,
    Model,
    Choices,
    Choice,
    Index,
    FinishReason,
    TokenIds,
    TokenId,
    Error,
    /// OpenAI's name for the kind of a document.
    Object,
    /// Of a response.
    Status,
    IncompleteReason,
    /// Of a message.
    StopReason,
    Usage(UsageField),
    /// The usage at the start of a message.
    StartUsage(UsageField),
}

/// What can stand in a usage object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UsageField {
    /// The object itself.
    All,
    Input,
    Output,
    InputDetails,
    CachedInput,
    OutputDetails,
    ReasoningOutput,
}
