//! The reader of a server's list of models. Input: a body.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use infertally_syncer::lora::observed::{Models, Observed};
use infertally_syncer::lora::response::Answer;
use serde_json::Value;

use crate::body::Body;
use crate::choices::Choices;

/// Bytes of a reason as it is logged.
const MAX_WHY: usize = 400;

/// Panics if the reader breaks its word.
pub fn check(input: &[u8]) {
    let body = Body::read(Choices(input)).bytes;
    let expected = models(&body);
    let answer = |status| Answer::Status {
        status,
        body: body.clone(),
    };
    // Only what was read whole is known, and of any other status nothing is.
    match (Observed::read(&answer(200)), expected) {
        (Observed::Known(models), Some(expected)) => assert_eq!(models, expected),
        (Observed::Known(_), None) => assert!(body.trim_ascii_start().starts_with(b"{")),
        (Observed::Unknown(failure), _) => assert!(failure.why.len() < MAX_WHY, "{}", failure.why),
    }
    assert!(matches!(Observed::read(&answer(500)), Observed::Unknown(_)));
}

/// The list, read another way; `None` if it is none, or has what only a reader of all of it minds.
fn models(body: &[u8]) -> Option<Models> {
    let list: Value = serde_json::from_slice(body).ok()?;
    let (mut adapters, mut base) = (BTreeMap::new(), BTreeSet::new());
    for model in list.as_object()?.get("data")?.as_array()? {
        let text = |name: &str| model.get(name).and_then(Value::as_str).map(Arc::from);
        if text("parent").is_some() {
            adapters.insert(text("id")?, text("root"));
        } else {
            base.insert(text("id")?);
        }
    }
    Some(Models { adapters, base })
}
