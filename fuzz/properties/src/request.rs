//! The property of the request reader. Input: the API, the content coding, a body.

use infertally_filter::exchange::{MAX_INFLATING_BYTES, MAX_STATE_BYTES};
use infertally_filter::json::MAX_TEXT;
use infertally_filter::request::{ModelName, RequestFacts, RequestReader};
use infertally_filter::route::Api;
use infertally_oracle::tree::Tree;

use crate::body::Body;
use crate::choices::Choices;
use crate::heap;

/// A byte chooses from this list.
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
/// Chosen by a byte.
pub(crate) const CODINGS: [Option<&str>; 8] = [
    None,
    Some("gzip"),
    Some("br"),
    Some("deflate"),
    Some("zstd"),
    Some("Identity"),
    Some("gzip, br"),
    Some(""),
];

/// # Panics
/// If the property does not hold.
pub fn check(input: &[u8]) {
    let mut choices = Choices(input);
    let Some(api) = choices.pick(&APIS) else { return };
    let coding = choices.pick(&CODINGS).flatten();
    let body = Body::read(choices);

    let facts = body.read_in_every_way(|chunks| read(api, coding, chunks, false));
    // Chunks after `wants_more` returns false make no difference.
    assert_eq!(body.read_in_every_way(|chunks| read(api, coding, chunks, true)), facts);
    let [
        _,
        RequestFacts {
            model,
            include_usage,
            malformed,
            encoded,
        },
    ] = facts;
    assert!(model.as_ref().is_none_or(|name| (1..=MAX_TEXT).contains(&name.len())));
    let is_plain = coding.is_none_or(|coding| ["", "Identity"].contains(&coding));
    assert!(!(malformed || encoded) || (model.is_none() && !include_usage));
    assert!(if is_plain { !encoded } else { !malformed });

    let mut reader = RequestReader::new(api, coding.map(str::as_bytes));
    let held = heap::peak(|| {
        for chunk in body.chunks() {
            reader.feed(chunk);
        }
        reader.finish();
    });
    let bound = if is_plain { MAX_STATE_BYTES } else { MAX_INFLATING_BYTES };
    assert!(held <= bound, "{held} bytes held");

    if is_plain
        && api != Api::Audio
        && let Some(tree) = Tree::parse(&body.bytes)
    {
        assert_eq!(model, name_of(tree.last(&["model"])));
        let options = tree.members("stream_options").next_back();
        let requested = options.and_then(|options| options.members("include_usage").next_back());
        // Servers accept other values too, which the filter's own tests list.
        match requested {
            None | Some(Tree::Null | Tree::Bool(false)) => assert!(!include_usage),
            Some(Tree::Bool(true)) => assert!(include_usage),
            Some(_) => {}
        }
        assert_eq!(
            malformed,
            matches!(tree, Tree::Number(_)) && !ends_with_space(&body.bytes)
        );
    }
}

/// The facts after the last chunk, and after the end of the body.
fn read(
    api: Api,
    coding: Option<&str>,
    chunks: &mut dyn Iterator<Item = &[u8]>,
    only_wanted: bool,
) -> [RequestFacts; 2] {
    let mut reader = RequestReader::new(api, coding.map(str::as_bytes));
    for chunk in chunks {
        if !only_wanted || reader.wants_more() {
            reader.feed(chunk);
        }
    }
    let before_end = reader.facts().clone();
    reader.finish();
    assert!(!reader.wants_more());
    [before_end, reader.facts().clone()]
}

/// Whether white space ends a number at the top level.
fn ends_with_space(body: &[u8]) -> bool {
    body.last().is_some_and(u8::is_ascii_whitespace)
}

/// The model name in this value, if it has one.
fn name_of(value: Option<&Tree>) -> Option<ModelName> {
    let name = value?.text()?;
    (!name.is_empty()).then(|| name.bytes().take(MAX_TEXT).collect())
}
