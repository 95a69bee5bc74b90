//! The reader of requests. Input: the API, a body.

use infertally_filter::exchange::MAX_STATE_BYTES;
use infertally_filter::json::MAX_TEXT;
use infertally_filter::request::{ModelName, RequestReader};
use infertally_filter::route::Api;

use crate::body::Body;
use crate::choices::Choices;
use crate::heap;
use crate::tree::Tree;

/// Chosen by a byte.
pub(crate) const APIS: [Api; 10] = [
    Api::Chat,
    Api::Completions,
    Api::Embeddings,
    Api::Responses,
    Api::Messages,
    Api::Rerank,
    Api::Score,
    Api::Pooling,
    Api::Classify,
    Api::Audio,
];

/// Panics if the reader breaks its word.
pub fn check(input: &[u8]) {
    let mut choices = Choices(input);
    let Some(api) = choices.pick(&APIS) else { return };
    let body = Body::read(choices);

    let (so_far, model) = body.read_in_every_way(|chunks| read(api, chunks, false));
    // What is not wanted makes no difference.
    let wanted = body.read_in_every_way(|chunks| read(api, chunks, true));
    assert_eq!(wanted, (so_far, model.clone()));
    assert!(model.as_ref().is_none_or(|name| (1..=MAX_TEXT).contains(&name.len())));

    let mut reader = RequestReader::new(api);
    let held = heap::peak(|| {
        for chunk in body.chunks() {
            reader.feed(chunk);
        }
        reader.finish();
    });
    assert!(held <= MAX_STATE_BYTES, "{held} bytes held");

    if api != Api::Audio
        && let Some(tree) = Tree::parse(&body.bytes)
    {
        // A number at the top level ends with what follows it, but it names no model anyway.
        assert_eq!(model, model_of(&tree));
    }
}

/// The model when the last byte was read, and when the body was over.
fn read(
    api: Api,
    chunks: &mut dyn Iterator<Item = &[u8]>,
    only_wanted: bool,
) -> (Option<ModelName>, Option<ModelName>) {
    let mut reader = RequestReader::new(api);
    for chunk in chunks {
        if !only_wanted || reader.wants_more() {
            reader.feed(chunk);
        }
    }
    let so_far = reader.facts().model.clone();
    reader.finish();
    assert!(!reader.wants_more());
    (so_far, reader.facts().model.clone())
}

/// The last `model` of the document, if it is a text.
pub(crate) fn model_of(tree: &Tree) -> Option<ModelName> {
    let name = tree.members("model").next_back()?.text()?;
    (!name.is_empty()).then(|| name.bytes().take(MAX_TEXT).collect())
}
