//! The inference APIs by the paths that clients send requests to.

/// An API with its own form of requests and responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Chat completions, and their batch form.
    Chat,
    /// Text completions.
    Completions,
    /// OpenAI's Responses.
    Responses,
    /// Anthropic's Messages.
    Messages,
    /// Transcriptions and translations. The request is a form.
    Audio,
    /// Embeddings, rerank, score, pooling, classify: no tokens are generated.
    Embeddings,
}

/// The ends of measured paths.
const PATHS: [(&str, Api); 15] = [
    ("/v1/completions", Api::Completions),
    ("/v1/chat/completions", Api::Chat),
    ("/v1/chat/completions/batch", Api::Chat),
    ("/v1/embeddings", Api::Embeddings),
    ("/v1/responses", Api::Responses),
    ("/v1/messages", Api::Messages),
    ("/v1/rerank", Api::Embeddings),
    ("/rerank", Api::Embeddings),
    ("/v2/rerank", Api::Embeddings),
    ("/v1/score", Api::Embeddings),
    ("/score", Api::Embeddings),
    ("/pooling", Api::Embeddings),
    ("/classify", Api::Embeddings),
    ("/v1/audio/transcriptions", Api::Audio),
    ("/v1/audio/translations", Api::Audio),
];

// === impl Api ===

impl Api {
    /// The API of a request; `None` if the request is not measured.
    pub fn of(method: &str, path: &str) -> Option<Self> {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        // No end of one API is an end of another's path.
        let found = PATHS.iter().find(|(end, _)| path.ends_with(end));
        found.filter(|_| method == "POST").map(|(_, api)| *api)
    }

    /// Whether its responses contain generated tokens.
    pub(crate) fn generates(self) -> bool {
        self != Self::Embeddings
    }

    /// Whether its responses can be event streams that report usage.
    pub(crate) fn streams(self) -> bool {
        !matches!(self, Self::Audio | Self::Embeddings)
    }

    /// Whether usage in a stream is an option of the request.
    pub(crate) fn has_usage_option(self) -> bool {
        matches!(self, Self::Chat | Self::Completions)
    }
}
