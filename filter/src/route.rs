//! The routing table that selects the exchanges to measure: `POST` to an inference path. No other request creates a series.

/// An inference API: decides how bodies are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `/v1/chat/completions` and its batch form.
    Chat,
    /// `/v1/completions`.
    Completions,
    /// `/v1/embeddings`.
    Embeddings,
    /// `/v1/rerank`, `/v2/rerank`, `/rerank`.
    Rerank,
    /// `/v1/score`, `/score`.
    Score,
    /// `/pooling`.
    Pooling,
    /// `/classify`.
    Classify,
    /// `/v1/responses`.
    Responses,
    /// Anthropic's `/v1/messages`.
    Messages,
    /// `/v1/audio/transcriptions` and `/v1/audio/translations`: the request is multipart, not JSON.
    Audio,
}

/// Path suffixes of vLLM, SGLang and TensorRT-LLM.
const PATHS: [(&str, Api); 15] = [
    ("/v1/chat/completions", Api::Chat),
    ("/v1/chat/completions/batch", Api::Chat),
    ("/v1/completions", Api::Completions),
    ("/v1/embeddings", Api::Embeddings),
    ("/v1/rerank", Api::Rerank),
    ("/v2/rerank", Api::Rerank),
    ("/rerank", Api::Rerank),
    ("/v1/score", Api::Score),
    ("/score", Api::Score),
    ("/pooling", Api::Pooling),
    ("/classify", Api::Classify),
    ("/v1/responses", Api::Responses),
    ("/v1/messages", Api::Messages),
    ("/v1/audio/transcriptions", Api::Audio),
    ("/v1/audio/translations", Api::Audio),
];

/// Path suffixes and their APIs. The longest matching suffix decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    /// The longest first. `None` switches a suffix off.
    suffixes: Vec<(Box<[u8]>, Option<Api>)>,
}

// === impl Api ===

impl Api {
    const NAMES: [(&str, Self); 10] = [
        ("chat", Self::Chat),
        ("completions", Self::Completions),
        ("embeddings", Self::Embeddings),
        ("rerank", Self::Rerank),
        ("score", Self::Score),
        ("pooling", Self::Pooling),
        ("classify", Self::Classify),
        ("responses", Self::Responses),
        ("messages", Self::Messages),
        ("audio", Self::Audio),
    ];

    /// Parses the name that the configuration uses.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, api)| *api)
    }

    /// Whether the model generates tokens. If not, `completion_tokens: 0` is not an observation.
    pub(crate) fn generates(self) -> bool {
        match self {
            Self::Chat | Self::Completions | Self::Responses | Self::Messages | Self::Audio => true,
            Self::Embeddings | Self::Rerank | Self::Score | Self::Pooling | Self::Classify => false,
        }
    }
}

// === impl Routes ===

impl Default for Routes {
    fn default() -> Self {
        let mut routes = Self { suffixes: Vec::new() };
        for (path, api) in PATHS {
            routes.set(path, Some(api));
        }
        routes
    }
}

impl Routes {
    /// Routes paths with this suffix, which begins at a slash, to `api`; `None` means that they are not measured.
    pub(crate) fn set(&mut self, suffix: &str, api: Option<Api>) {
        let suffix = suffix.as_bytes();
        self.suffixes.retain(|(known, _)| **known != *suffix);
        let at = self.suffixes.partition_point(|(known, _)| known.len() >= suffix.len());
        self.suffixes.insert(at, (suffix.into(), api));
    }

    /// The API of a request; `None` if it is not measured. `path` may contain a query string.
    pub fn api(&self, method: &[u8], path: &[u8]) -> Option<Api> {
        if method != b"POST" {
            return None;
        }
        let end = memchr::memchr2(b'?', b'#', path).unwrap_or(path.len());
        let path = path.get(..end)?;
        // Most suffixes end in another letter: only the others are compared as a whole.
        let last = path.last();
        let mut matches = self.suffixes.iter().filter(|(suffix, _)| suffix.last() == last);
        let (_, api) = matches.find(|(suffix, _)| path.ends_with(suffix))?;
        *api
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn only_post_to_an_inference_path_is_measured() {
        let routes = Routes::default();
        for (method, path, api) in [
            ("POST", "/v1/chat/completions", Some(Api::Chat)),
            (
                "POST",
                "/v1/chat/completions?api-version=1&x=/v1/embeddings",
                Some(Api::Chat),
            ),
            ("POST", "/tenant/a/v1/completions", Some(Api::Completions)),
            ("POST", "/v1/chat/completions/batch", Some(Api::Chat)),
            ("POST", "/rerank", Some(Api::Rerank)),
            ("POST", "/v2/rerank", Some(Api::Rerank)),
            ("POST", "/v1/messages", Some(Api::Messages)),
            ("POST", "/v1/messages/count_tokens", None),
            ("POST", "/tokenize", None),
            ("POST", "/v1/load_lora_adapter", None),
            ("POST", "/v1/completions/", None),
            ("POST", "/xv1/completions", None),
            ("POST", "", None),
            ("POST", "?/v1/completions", None),
            ("GET", "/v1/chat/completions", None),
            ("HEAD", "/v1/chat/completions", None),
            ("post", "/v1/chat/completions", None),
        ] {
            assert_eq!(routes.api(method.as_bytes(), path.as_bytes()), api, "{method} {path}");
        }
    }

    #[test]
    fn longest_suffix_wins_and_can_be_switched_off() {
        let mut routes = Routes::default();
        routes.set("/internal/v1/completions", None);
        routes.set("/generate", Some(Api::Completions));
        assert_eq!(routes.api(b"POST", b"/internal/v1/completions"), None);
        assert_eq!(routes.api(b"POST", b"/v1/completions"), Some(Api::Completions));
        assert_eq!(routes.api(b"POST", b"/llm/generate"), Some(Api::Completions));
        routes.set("/generate", None);
        routes.set("/v1/completions", None);
        assert_eq!(routes.api(b"POST", b"/llm/generate"), None);
        assert_eq!(routes.api(b"POST", b"/v1/completions"), None);
        assert_eq!(routes.api(b"POST", b"/v1/chat/completions"), Some(Api::Chat));
    }
}
