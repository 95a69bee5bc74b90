//! [`Observed::from_list`], the parser of a model server's list of models. Input: a body.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use infertally_syncer::lora::api::LoraApi;
use infertally_syncer::lora::observed::{Models, Observed};
use infertally_syncer::lora::response::Response;
use serde_json::Value;

use crate::body::Body;
use crate::choices::Choices;

/// Bytes of an error message as it is logged.
const MAX_MESSAGE: usize = 400;

/// Panics if a property does not hold.
pub fn check(input: &[u8]) {
    let body = Body::read(Choices(input)).bytes;
    let expected = models(&body);
    let list = |status| {
        let body = body.clone();
        Observed::from_list(&Ok(Response { status, body }))
    };
    // Only a complete list in a successful response is known.
    match (list(200), expected) {
        (Observed::Known(models), Some(expected)) => assert_eq!(models, expected),
        (Observed::Known(_), None) => assert!(body.trim_ascii_start().starts_with(b"{")),
        (Observed::Unknown(error), _) => assert!(error.message.len() < MAX_MESSAGE, "{error}"),
    }
    assert!(matches!(list(500), Observed::Unknown(_)));
}

/// The list by an independent parser. `None` if it is not a list, or has a model without an id.
fn models(body: &[u8]) -> Option<Models> {
    let list: Value = serde_json::from_slice(body).ok()?;
    let (mut adapters, mut base, mut api) = (BTreeMap::new(), BTreeSet::new(), None);
    for model in list.as_object()?.get("data")?.as_array()? {
        let text = |name: &str| model.get(name).and_then(Value::as_str);
        let filled = |name: &str| text(name).filter(|text| !text.is_empty());
        let id = Arc::from(text("id")?);
        if filled("parent").is_some() {
            adapters.insert(id, filled("root").map(Arc::from));
        } else {
            base.insert(id);
            api = api.or(match text("owned_by") {
                Some("vllm") => Some(LoraApi::Vllm),
                Some("sglang") => Some(LoraApi::Sglang),
                _ => None,
            });
        }
    }
    Some(Models { adapters, base, api })
}
