//! The observed state of the model server: which models it reports at `GET /v1/models`.
//!
//! Invariant: a list that is truncated, malformed or not there is unknown, never empty or partial.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use super::Reason;
use super::api::LoraApi;
use super::response::{Reply, RequestError, authorized};

/// Ten thousand models of 400 bytes each.
pub const MAX_LIST_BYTES: usize = 4 * 1024 * 1024;

/// The result of a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The server reported its models.
    Known(Models),
    /// It did not. Nothing follows from that.
    Unknown(RequestError),
}

/// The models that a server has loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Models {
    /// Models with a `parent`, by id, each with its `root`: the source as the server reports it, if it does.
    pub adapters: BTreeMap<Arc<str>, Option<Arc<str>>>,
    /// Models without a `parent`: it is absent, null or empty.
    pub base: BTreeSet<Arc<str>>,
    /// The server's API, if `owned_by` of a base model names it.
    pub api: Option<LoraApi>,
}

#[derive(Deserialize)]
struct ModelList {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    parent: Option<String>,
    root: Option<String>,
    owned_by: Option<String>,
}

// === impl Observed ===

impl Observed {
    /// The observed state if the reply to `GET /health` is no success. None if the server is healthy, so that its
    /// models can be listed.
    pub fn unless_healthy(reply: &Reply) -> Option<Self> {
        match authorized(reply) {
            Ok(response) if response.is_success() => None,
            Ok(response) => Some(Self::unreachable(format!("GET /health: {}", response.status_line()))),
            Err(error) => Some(Self::Unknown(error)),
        }
    }

    /// The observed state by the reply to `GET /v1/models`.
    pub fn from_list(reply: &Reply) -> Self {
        let response = match authorized(reply) {
            Ok(response) => response,
            Err(error) => return Self::Unknown(error),
        };
        let body = &response.body;
        let failed = |what: &dyn std::fmt::Display| Self::unreachable(format!("GET /v1/models: {what}"));
        if !response.is_success() {
            return failed(&response.status_line());
        }
        if body.len() > MAX_LIST_BYTES {
            return failed(&format_args!("response larger than {MAX_LIST_BYTES} bytes"));
        }
        // serde would also take the fields of a struct from an array, and `[[]]` for an empty list.
        if !body.trim_ascii_start().starts_with(b"{") {
            return failed(&"response is not a JSON object");
        }
        match serde_json::from_slice::<ModelList>(body) {
            Ok(list) => Self::Known(Models::from(list)),
            // serde's own text quotes the input, which may be long.
            Err(error) => failed(&format_args!(
                "invalid list of models at line {}, column {}",
                error.line(),
                error.column()
            )),
        }
    }

    fn unreachable(message: String) -> Self {
        let reason = Reason::Unreachable;
        Self::Unknown(RequestError { reason, message })
    }
}

// === impl Models ===

impl From<ModelList> for Models {
    fn from(list: ModelList) -> Self {
        let mut models = Self::default();
        for model in list.data {
            let Model {
                id,
                parent,
                root,
                owned_by,
            } = model;
            let id = Arc::from(id);
            if parent.is_some_and(|parent| !parent.is_empty()) {
                let root = root.filter(|root| !root.is_empty());
                models.adapters.insert(id, root.map(Arc::from));
            } else {
                models.base.insert(id);
                let api = owned_by.as_deref().and_then(LoraApi::owned_by);
                models.api = models.api.or(api);
            }
        }
        models
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lora::response::{Response, TransportError};

    fn response(status: u16, body: &str) -> Reply {
        Ok(Response {
            status,
            body: body.as_bytes().to_vec(),
        })
    }

    fn list(status: u16, body: &str) -> Observed {
        Observed::from_list(&response(status, body))
    }

    fn captured(text: &str) -> Models {
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        match list(200, body) {
            Observed::Known(models) => models,
            Observed::Unknown(error) => panic!("{error:?}"),
        }
    }

    fn error(observed: Observed) -> (Reason, String) {
        match observed {
            Observed::Unknown(RequestError { reason, message }) => (reason, message),
            Observed::Known(models) => panic!("{models:?}"),
        }
    }

    #[test]
    fn vllm_adapters_are_distinguished_from_base_models() {
        let adapter = |name: &str| (Arc::from(name), Some(Arc::from(format!("/srv/vllm/{name}"))));
        let models = captured(include_str!(
            "../../../tests/fixtures/vllm-0.32.0/models_after_lora.resp"
        ));
        assert_eq!(models.adapters, BTreeMap::from([adapter("lora-a"), adapter("lora-b")]));
        assert_eq!(models.base, BTreeSet::from([Arc::from("tiny")]));
        assert_eq!(models.api, Some(LoraApi::Vllm));
        let models = captured(include_str!(
            "../../../tests/fixtures/vllm-0.32.0/models_after_unload.resp"
        ));
        assert_eq!(models.adapters, BTreeMap::from([adapter("lora-b")]));
        let models = captured(include_str!("../../../tests/fixtures/vllm-0.32.0/models_before.resp"));
        assert_eq!(models.adapters, BTreeMap::new());
    }

    #[test]
    fn sglang_adapters_are_distinguished_from_base_models() {
        let models = captured(include_str!("../../../tests/fixtures/sglang-lora/models.resp"));
        let source = Some(Arc::from("/adapters/lora-a"));
        assert_eq!(models.adapters, BTreeMap::from([(Arc::from("lora-a"), source)]));
        assert_eq!(models.base, BTreeSet::from([Arc::from("tiny")]));
        assert_eq!(models.api, Some(LoraApi::Sglang));
    }

    #[test]
    fn base_model_has_no_parent_or_an_empty_one() {
        let models = captured(
            "\r\n\r\n{\"data\":[{\"id\":\"absent\"},{\"id\":\"null\",\"parent\":null},{\"id\":\"empty\",\"parent\":\"\",\"owned_by\":\"me\"},\
             {\"id\":\"a\",\"parent\":\"null\",\"root\":\"\"}]}",
        );
        assert_eq!(models.base, ["absent", "null", "empty"].map(Arc::from).into());
        assert_eq!(models.adapters, BTreeMap::from([(Arc::from("a"), None)]));
        assert_eq!(models.api, None);
    }

    #[test]
    fn incomplete_or_malformed_list_is_unknown() {
        for body in [
            "",
            "{}",
            "[]",
            "[[]]",
            "null",
            r#"{"data":null}"#,
            r#"{"data":[{"id":"a"},{"parent":"b"}]}"#,
            r#"{"data":[{"id":7}]}"#,
            r#"{"data":[{"id":"a"}"#,
            r#"{"data":[]} x"#,
        ] {
            assert_eq!(error(list(200, body)).0, Reason::Unreachable, "{body}");
        }
        let long = format!(r#"{{"data":[]}}{}"#, " ".repeat(MAX_LIST_BYTES));
        assert_eq!(
            error(list(200, &long)).1,
            "GET /v1/models: response larger than 4194304 bytes"
        );
        assert_eq!(list(200, r#"{"data":[]}"#), Observed::Known(Models::default()));
    }

    #[test]
    fn error_message_does_not_quote_the_response() {
        let body = format!(r#"{{"data":"{}"}}"#, "x".repeat(MAX_LIST_BYTES / 2));
        let (_, message) = error(list(200, &body));
        assert!(message.len() < 200 && message.contains("column"), "{message}");
    }

    #[test]
    fn failed_poll_has_a_reason() {
        let health = |status| Observed::unless_healthy(&response(status, ""));
        assert_eq!(health(200), None);
        assert_eq!(
            error(health(503).unwrap()),
            (Reason::Unreachable, "GET /health: 503 Service Unavailable".to_owned())
        );
        assert_eq!(error(list(401, "")).0, Reason::Unauthorized);
        assert_eq!(error(list(503, r#"{"data":[]}"#)).0, Reason::Unreachable);
        let failed = |transport| error(Observed::from_list(&Err(transport))).0;
        assert_eq!(failed(TransportError::Timeout), Reason::Timeout);
        let refused = TransportError::Unreachable("connection refused".to_owned());
        assert_eq!(failed(refused), Reason::Unreachable);
    }
}
