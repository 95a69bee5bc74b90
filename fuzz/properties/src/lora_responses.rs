//! [`Outcome::of`], what a model server's response to a load or unload means. Input: an API, an operation, a status, a body.

use infertally_syncer::lora::Reason;
use infertally_syncer::lora::api::LoraApi;
use infertally_syncer::lora::request::Operation;
use infertally_syncer::lora::response::{Outcome, RequestError, Response};

use crate::body::Body;
use crate::choices::Choices;

const APIS: [LoraApi; 2] = [LoraApi::Vllm, LoraApi::Sglang];
const OPERATIONS: [Operation; 4] = [
    Operation::Load,
    Operation::Reload,
    Operation::Restore,
    Operation::Unload,
];
/// Any other status is of no standard.
const STATUSES: [u16; 10] = [200, 400, 401, 403, 404, 405, 422, 500, 503, 799];
/// Characters of an error message as it is logged.
const MAX_MESSAGE: usize = 400;

/// Panics if a property does not hold.
pub fn check(input: &[u8]) {
    let mut choices = Choices(input);
    let (api, operation, status) = (choices.pick(&APIS), choices.pick(&OPERATIONS), choices.pick(&STATUSES));
    let (Some(api), Some(operation), Some(status)) = (api, operation, status) else {
        return;
    };
    let body = Body::read(choices).bytes;
    let unloads = operation == Operation::Unload;
    let outcome = Outcome::of(api, operation, &Ok(Response { status, body }));
    match &outcome {
        Outcome::Succeeded => assert!(status == 200 || unloads && matches!(status, 400 | 404), "{status}"),
        Outcome::AlreadyLoaded { message } => {
            assert!(status == 400 && !unloads, "{status} {operation:?}");
            check_message(message);
        }
        Outcome::Failed(RequestError { reason, message }) => {
            assert_ne!(status, 200, "{message}");
            assert_eq!(
                *reason == Reason::Unauthorized,
                matches!(status, 401 | 403),
                "{status} {message}"
            );
            assert!(
                !unloads || matches!(reason, Reason::UnloadFailed | Reason::Unauthorized),
                "{message}"
            );
            check_message(message);
        }
    }
}

/// It is one line of a log.
fn check_message(message: &str) {
    assert!((1..=MAX_MESSAGE).contains(&message.chars().count()), "{message}");
    assert!(!message.contains(char::is_control), "{message:?}");
}
