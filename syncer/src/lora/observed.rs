//! What the server holds, by its own word at a pass: its answer to `GET /v1/models`.
//!
//! Invariant: a list that can't be read whole is unknown, never empty or half.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use super::Reason;
use super::response::{Answer, Failure};

/// Of the list: ten thousand models of 400 bytes each.
pub const MAX_LIST_BYTES: usize = 4 * 1024 * 1024;

/// What is known of the server at a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// It told.
    Known(Models),
    /// It didn't; nothing follows from that.
    Unknown(Failure),
}

/// What a server holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Models {
    /// Those that adapt another model, each with where the server says that it comes from.
    pub adapters: BTreeMap<Arc<str>, Option<Arc<str>>>,
    /// The others.
    pub base: BTreeSet<Arc<str>>,
}

#[derive(Deserialize)]
struct List {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    parent: Option<String>,
    /// vLLM gives the source as it was asked for.
    root: Option<String>,
}

// === impl Observed ===

impl Observed {
    /// What follows from the answer to `GET /health`, unless the server is well and can be asked for its list.
    pub fn unless_healthy(answer: &Answer) -> Option<Self> {
        match answer.answered() {
            Ok((200..=299, _)) => None,
            Ok((status, _)) => Some(Self::Unknown(Failure {
                reason: Reason::Unreachable,
                why: format!("its health: status {status}"),
            })),
            Err(failure) => Some(Self::Unknown(failure)),
        }
    }

    /// Reads the answer to `GET /v1/models`.
    pub fn read(answer: &Answer) -> Self {
        let unreadable = |why| {
            Self::Unknown(Failure {
                reason: Reason::Unreachable,
                why,
            })
        };
        match answer.answered() {
            Ok((200..=299, body)) if body.len() > MAX_LIST_BYTES => {
                unreadable(format!("the list of models has more than {MAX_LIST_BYTES} bytes"))
            }
            // serde takes a struct's fields from an array, too, and `[[]]` is no list of none.
            Ok((200..=299, body)) if !body.trim_ascii_start().starts_with(b"{") => {
                unreadable("the list of models cannot be read: it is no JSON object".to_owned())
            }
            Ok((200..=299, body)) => match serde_json::from_slice::<List>(body) {
                Ok(list) => Self::Known(Models::from(list)),
                // serde's own words repeat what it found, however long.
                Err(error) => unreadable(format!(
                    "the list of models cannot be read: it is another JSON than that at line {}, column {}",
                    error.line(),
                    error.column()
                )),
            },
            Ok((status, _)) => unreadable(format!("the list of models: status {status}")),
            Err(failure) => Self::Unknown(failure),
        }
    }
}

// === impl Models ===

impl From<List> for Models {
    fn from(list: List) -> Self {
        let mut models = Self::default();
        for Model { id, parent, root } in list.data {
            let id = Arc::from(id);
            if parent.is_some() {
                models.adapters.insert(id, root.map(Arc::from));
            } else {
                models.base.insert(id);
            }
        }
        models
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Observed {
        Observed::read(&Answer::Status {
            status,
            body: body.as_bytes().to_vec(),
        })
    }

    /// A captured answer.
    fn captured(response: &str) -> Models {
        let (_, body) = response.split_once("\r\n\r\n").unwrap();
        match read(200, body) {
            Observed::Known(models) => models,
            Observed::Unknown(failure) => panic!("{failure:?}"),
        }
    }

    #[test]
    fn vllm_s_adapters_are_told_from_its_models() {
        let adapter = |name: &str| (Arc::from(name), Some(Arc::from(format!("/srv/vllm/{name}"))));
        let models = captured(include_str!(
            "../../../tests/fixtures/vllm-0.32.0/models_after_lora.resp"
        ));
        assert_eq!(models.adapters, BTreeMap::from([adapter("lora-a"), adapter("lora-b")]));
        assert_eq!(models.base, BTreeSet::from([Arc::from("tiny")]));
        let models = captured(include_str!(
            "../../../tests/fixtures/vllm-0.32.0/models_after_unload.resp"
        ));
        assert_eq!(models.adapters, BTreeMap::from([adapter("lora-b")]));
        let models = captured(include_str!("../../../tests/fixtures/vllm-0.32.0/models_before.resp"));
        assert_eq!(models.adapters, BTreeMap::new());
    }

    #[test]
    fn a_list_that_cannot_be_read_whole_is_unknown() {
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
            assert!(
                matches!(
                    read(200, body),
                    Observed::Unknown(Failure {
                        reason: Reason::Unreachable,
                        ..
                    })
                ),
                "{body}"
            );
        }
        let long = format!(r#"{{"data":[]}}{}"#, " ".repeat(MAX_LIST_BYTES));
        assert!(matches!(read(200, &long), Observed::Unknown(_)));
        assert_eq!(read(200, r#"{"data":[]}"#), Observed::Known(Models::default()));
    }

    #[test]
    fn a_list_of_another_shape_makes_no_long_message() {
        let body = format!(r#"{{"data":"{}"}}"#, "x".repeat(MAX_LIST_BYTES / 2));
        let Observed::Unknown(Failure { why, .. }) = read(200, &body) else {
            panic!("a text is no list");
        };
        assert!(why.len() < 200 && why.contains("column"), "{why}");
    }

    #[test]
    fn why_a_server_cannot_be_asked_is_told() {
        let reason = |observed| match observed {
            Observed::Unknown(Failure { reason, .. }) => reason,
            Observed::Known(models) => panic!("{models:?}"),
        };
        assert_eq!(reason(read(401, "")), Reason::Unauthorized);
        assert_eq!(reason(read(503, r#"{"data":[]}"#)), Reason::Unreachable);
        assert_eq!(reason(Observed::read(&Answer::Timeout)), Reason::Timeout);
        let refused = Answer::Unreachable {
            why: "refused".to_owned(),
        };
        assert_eq!(reason(Observed::read(&refused)), Reason::Unreachable);
    }
}
