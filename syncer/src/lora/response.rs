//! What the server's answer to a call means.
//!
//! The answers are vLLM's (captured from 0.32.0): 200; 400 for a name that is taken or a field that is missing; 404 for an
//! adapter, a path or a repository that isn't there. A 404 without vLLM's words is the framework's own: there is no such
//! endpoint, because vLLM was started without `VLLM_ALLOW_RUNTIME_LORA_UPDATING`.

use serde::Deserialize;

use super::Reason;
use super::request::Operation;

/// Of what a server says, in characters: enough to know what is wrong, and short enough for a log line.
const MAX_WHY: usize = 300;

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The server answered.
    Status {
        /// HTTP's status.
        status: u16,
        /// The body; of an answer that is not good its beginning is enough.
        body: Vec<u8>,
    },
    /// It didn't within the time.
    Timeout,
    /// It couldn't be asked, or broke off.
    Unreachable {
        /// In words.
        why: String,
    },
}

/// What an answer means for the adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is as it was asked for.
    Done,
    /// An adapter of this name is loaded already. The server can't load it in place, or somebody else was faster.
    AlreadyLoaded {
        /// In the server's words.
        why: String,
    },
    /// It is not.
    Failed(Failure),
}

/// Why the server could not be asked, or a call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which of the closed set.
    pub reason: Reason,
    /// In words.
    pub why: String,
}

/// vLLM's errors.
#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorText,
}

#[derive(Deserialize)]
struct ErrorText {
    message: String,
}

// === impl Answer ===

impl Answer {
    /// What it means as the answer to this operation.
    pub fn outcome(&self, operation: Operation) -> Outcome {
        let (status, body) = match self.answered() {
            Ok((200..=299, _)) => return Outcome::Done,
            Ok(answered) => answered,
            Err(failure) => return Outcome::Failed(failure),
        };
        let said = said(body);
        let why = match &said {
            Some(said) => format!("status {status}: {said}"),
            None => format!("status {status}"),
        };
        let said = said.unwrap_or_default();
        let failed = |reason, why| Outcome::Failed(Failure { reason, why });
        match (operation, status) {
            (Operation::Load | Operation::Reload, 400) if said.contains("already been loaded") => {
                Outcome::AlreadyLoaded { why }
            }
            // It is gone, whoever did it.
            (Operation::Unload, 404) if said.contains("cannot be found") => Outcome::Done,
            (_, 404 | 405) if !is_error(body) => {
                let hint = "the server has no such endpoint; vLLM needs VLLM_ALLOW_RUNTIME_LORA_UPDATING=true";
                let reason = match operation {
                    Operation::Load | Operation::Reload => Reason::LoadRejected,
                    Operation::Unload => Reason::UnloadFailed,
                };
                failed(reason, format!("status {status}: {hint}"))
            }
            (Operation::Unload, _) => failed(Reason::UnloadFailed, why),
            // The request was understood: there is nothing at the source, or nothing that can be loaded.
            (_, 404 | 500..) => failed(Reason::LoadFailed, why),
            _ => failed(Reason::LoadRejected, why),
        }
    }

    /// Status and body, if the server let us in and answered.
    pub(super) fn answered(&self) -> Result<(u16, &[u8]), Failure> {
        let failure = |reason, why| Err(Failure { reason, why });
        match self {
            Self::Status {
                status: status @ (401 | 403),
                ..
            } => failure(Reason::Unauthorized, format!("status {status}")),
            Self::Status { status, body } => Ok((*status, body)),
            Self::Timeout => failure(Reason::Timeout, "no answer in time".to_owned()),
            Self::Unreachable { why } => failure(Reason::Unreachable, why.clone()),
        }
    }
}

fn is_error(body: &[u8]) -> bool {
    serde_json::from_slice::<ErrorBody>(body).is_ok()
}

/// The server's words in one line.
fn said(body: &[u8]) -> Option<String> {
    let text = match serde_json::from_slice::<ErrorBody>(body) {
        Ok(ErrorBody {
            error: ErrorText { message },
        }) => message,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let words = text.split(|character: char| character.is_whitespace() || character.is_control());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    let line = match line.char_indices().nth(MAX_WHY) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    };
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer::Status {
            status,
            body: body.as_bytes().to_vec(),
        }
    }

    /// A captured answer.
    fn captured(response: &str) -> Answer {
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        answer(head[9..12].parse().unwrap(), body)
    }

    macro_rules! capture {
        ($name:literal) => {
            captured(include_str!(concat!(
                "../../../tests/fixtures/vllm-0.32.0/",
                $name,
                ".resp"
            )))
        };
    }

    fn failed(reason: Reason, why: &str) -> Outcome {
        Outcome::Failed(Failure {
            reason,
            why: why.to_owned(),
        })
    }

    #[test]
    fn vllm_s_answers_to_a_load_are_understood() {
        let load = |answer: Answer| answer.outcome(Operation::Load);
        assert_eq!(load(capture!("lora_load_ok")), Outcome::Done);
        assert_eq!(load(capture!("lora_load_second")), Outcome::Done);
        assert_eq!(capture!("lora_load_inplace").outcome(Operation::Reload), Outcome::Done);
        assert!(matches!(
            load(capture!("lora_load_duplicate")),
            Outcome::AlreadyLoaded { .. }
        ));
        assert_eq!(
            load(capture!("lora_load_bad_path")),
            failed(
                Reason::LoadFailed,
                "status 404: Loading lora lora-bad failed: No adapter found for <path>"
            )
        );
        assert_eq!(
            load(capture!("lora_load_bad_hub_name")),
            failed(
                Reason::LoadFailed,
                "status 404: Loading lora lora-bad failed: No adapter found for some/repo"
            )
        );
        assert_eq!(
            load(capture!("lora_load_name_of_base")),
            failed(
                Reason::LoadRejected,
                "status 400: The lora adapter 'tiny' conflicts with a served base model."
            )
        );
        for rejected in [
            capture!("lora_load_empty_field"),
            capture!("lora_load_missing_field"),
            capture!("lora_load_bad_json"),
        ] {
            let outcome = load(rejected);
            assert!(
                matches!(
                    &outcome,
                    Outcome::Failed(Failure {
                        reason: Reason::LoadRejected,
                        ..
                    })
                ),
                "{outcome:?}"
            );
        }
    }

    #[test]
    fn vllm_s_answers_to_an_unload_are_understood() {
        let unload = |answer: Answer| answer.outcome(Operation::Unload);
        assert_eq!(unload(capture!("lora_unload_ok")), Outcome::Done);
        // What is not there need not go.
        assert_eq!(unload(capture!("lora_unload_missing")), Outcome::Done);
        for (capture, why) in [
            (
                capture!("lora_unload_empty"),
                "status 400: 'lora_name' needs to be provided to unload a LoRA adapter.",
            ),
            (answer(500, "boom\n\n  bang"), "status 500: boom bang"),
        ] {
            assert_eq!(unload(capture), failed(Reason::UnloadFailed, why));
        }
    }

    #[test]
    fn a_server_without_the_endpoints_is_known() {
        let missing = answer(404, r#"{"detail":"Not Found"}"#);
        let why = "status 404: the server has no such endpoint; vLLM needs VLLM_ALLOW_RUNTIME_LORA_UPDATING=true";
        assert_eq!(missing.outcome(Operation::Load), failed(Reason::LoadRejected, why));
        assert_eq!(missing.outcome(Operation::Unload), failed(Reason::UnloadFailed, why));
    }

    #[test]
    fn the_rest_is_known_by_its_status() {
        let load = |answer: Answer| answer.outcome(Operation::Load);
        assert_eq!(load(answer(204, "")), Outcome::Done);
        assert_eq!(load(answer(500, "")), failed(Reason::LoadFailed, "status 500"));
        assert_eq!(load(answer(302, "")), failed(Reason::LoadRejected, "status 302"));
        assert_eq!(load(answer(429, "")), failed(Reason::LoadRejected, "status 429"));
        assert_eq!(load(Answer::Timeout), failed(Reason::Timeout, "no answer in time"));
        for operation in [Operation::Load, Operation::Reload, Operation::Unload] {
            let unauthorized = answer(401, r#"{"error":"Unauthorized"}"#).outcome(operation);
            assert_eq!(unauthorized, failed(Reason::Unauthorized, "status 401"));
            let unreachable = Answer::Unreachable {
                why: "refused".to_owned(),
            };
            assert_eq!(unreachable.outcome(operation), failed(Reason::Unreachable, "refused"));
        }
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        let long = "é".repeat(2 * MAX_WHY);
        let Outcome::Failed(Failure { why, .. }) = answer(400, &long).outcome(Operation::Load) else {
            panic!("it failed");
        };
        assert_eq!(why, format!("status 400: {}…", "é".repeat(MAX_WHY)));
    }
}
