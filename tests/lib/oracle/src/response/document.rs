//! Responses that are one JSON document.

use super::usage::Counts;
use super::{BodyState, DocumentState, ResponseFacts};
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
            let mut facts = state(if has_failed(api, &tree) {
                DocumentState::Failed
            } else {
                DocumentState::Complete
            });
            read_tree(api, &tree, &mut facts);
            facts
        }
        Document::Incomplete => state(DocumentState::Incomplete),
        Document::Malformed => state(DocumentState::Malformed),
    })
}

/// Whether a document reports that its request failed.
fn has_failed(api: Api, tree: &Tree) -> bool {
    matches!(tree.last(&["error"]), Some(Tree::Object(_)))
        || (api == Api::Responses && tree.last_text(&["status"]) == Some("failed"))
}

fn read_tree(api: Api, tree: &Tree, facts: &mut ResponseFacts) {
    facts.model = tree.last_name(&["model"]);
    facts.usage = Counts::read(tree.last(&["usage"])).usage(api);
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
}
