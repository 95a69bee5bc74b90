//! Responses that are one JSON document.

use super::{BodyState, DocumentState, ResponseFacts, Usage};
use crate::Undecidable;
use crate::api::Api;
use crate::json::Document;
use crate::tree::Tree;

/// A document reports nothing before it is complete: a later key could replace an earlier one.
pub(super) fn read(api: Api, body: &[u8]) -> Result<ResponseFacts, Undecidable> {
    let state = |state| ResponseFacts {
        body: BodyState::Document(state),
        ..ResponseFacts::default()
    };
    Ok(match Document::parse(body)? {
        Document::Complete(tree) => {
            let mut facts = state(DocumentState::Complete);
            read_tree(api, &tree, &mut facts);
            facts
        }
        Document::Incomplete => state(DocumentState::Incomplete),
        Document::Malformed => state(DocumentState::Malformed),
    })
}

fn read_tree(api: Api, tree: &Tree, facts: &mut ResponseFacts) {
    facts.model = tree.last_name(&["model"]);
    facts.usage = Usage::read(tree.last(&["usage"]));
    match api {
        Api::Chat | Api::Completions => {
            for choice in tree.last(&["choices"]).map(Tree::elements).unwrap_or_default() {
                facts.finish(choice.last_text(&["finish_reason"]));
            }
        }
        Api::Responses => {
            let has_ended = |status: &&str| !matches!(*status, "in_progress" | "queued");
            let status = tree.last_text(&["status"]).filter(has_ended);
            facts.finish(tree.last_text(&["incomplete_details", "reason"]).or(status));
        }
        Api::Messages => facts.finish(tree.last_text(&["stop_reason"])),
        Api::Audio | Api::Embeddings => {}
    }
    if !api.generates() {
        facts.usage = facts.usage.without_output();
    }
}
