//! The reader of requests. Input: the API, a body.

use infertally_filter::exchange::MAX_STATE_BYTES;
use infertally_filter::json::MAX_TEXT;
use infertally_filter::request::{ModelName, RequestFacts, RequestReader};
use infertally_filter::route::Api;
use infertally_oracle::tree::Tree;

use crate::body::Body;
use crate::choices::Choices;
use crate::heap;

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

    let facts = body.read_in_every_way(|chunks| read(api, chunks, false));
    // What is not wanted makes no difference.
    assert_eq!(body.read_in_every_way(|chunks| read(api, chunks, true)), facts);
    let [
        _,
        RequestFacts {
            model,
            includes_usage,
            broken,
        },
    ] = facts;
    assert!(model.as_ref().is_none_or(|name| (1..=MAX_TEXT).contains(&name.len())));
    assert!(!broken || (model.is_none() && !includes_usage));

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
        assert_eq!(model, name_of(tree.last(&["model"])));
        let options = tree.members("stream_options").next_back();
        let asked = options.and_then(|options| options.members("include_usage").next_back());
        // Servers take more words than these; the filter's own tests list them.
        match asked {
            None | Some(Tree::Null | Tree::Bool(false)) => assert!(!includes_usage),
            Some(Tree::Bool(true)) => assert!(includes_usage),
            Some(_) => {}
        }
        assert_eq!(broken, matches!(tree, Tree::Number(_)) && !ends_with_space(&body.bytes));
    }
}

/// What was known when the last byte was read, and when the body was over.
fn read(api: Api, chunks: &mut dyn Iterator<Item = &[u8]>, only_wanted: bool) -> [RequestFacts; 2] {
    let mut reader = RequestReader::new(api);
    for chunk in chunks {
        if !only_wanted || reader.wants_more() {
            reader.feed(chunk);
        }
    }
    let so_far = reader.facts().clone();
    reader.finish();
    assert!(!reader.wants_more());
    [so_far, reader.facts().clone()]
}

/// Whether more follows the last value, so that a number at the top level is whole.
fn ends_with_space(body: &[u8]) -> bool {
    body.last().is_some_and(u8::is_ascii_whitespace)
}

/// A model's name, if this is one.
fn name_of(value: Option<&Tree>) -> Option<ModelName> {
    let name = value?.text()?;
    (!name.is_empty()).then(|| name.bytes().take(MAX_TEXT).collect())
}
