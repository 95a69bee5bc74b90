//! The models whose servers report usage that the request did not include, such as vLLM with
//! `--enable-force-include-usage`.
//!
//! A stream of such a server that has no usage was cut off, whatever its request. Each VM learns this from its own
//! traffic: until the first complete stream of a model in a VM, an aborted one counts as not requested.

use std::collections::HashSet;

use crate::exchange::Outcome;
use crate::labels::{ModelLabel, UsageSource};

/// Models beyond this are not remembered. More than the default of `maxModels`, and a few kilobytes.
const MAX_MODELS: usize = 256;

/// The models of one VM, by the label of the serving model.
#[derive(Debug, Default)]
pub(crate) struct ForcedUsage(HashSet<ModelLabel>);

// === impl ForcedUsage ===

impl ForcedUsage {
    /// Learns from a stream whose request did not include usage, and returns the source of its counts.
    pub(crate) fn resolve(&mut self, model: &ModelLabel, source: UsageSource, outcome: Outcome) -> UsageSource {
        match (source, outcome) {
            (UsageSource::Reported, _) => {
                // Names over the limit share a label, and their servers have nothing in common.
                if *model != ModelLabel::other() && self.0.len() < MAX_MODELS {
                    self.0.insert(model.clone());
                }
                source
            }
            // The server no longer reports usage, or not all servers of the model do.
            (UsageSource::MissingNotRequested, Outcome::Success) => {
                self.0.remove(model);
                source
            }
            (UsageSource::MissingNotRequested, _) if !self.0.contains(model) => source,
            (UsageSource::MissingNotRequested, Outcome::Cancelled) => UsageSource::MissingAborted,
            (UsageSource::MissingNotRequested, Outcome::Failed(_)) => UsageSource::MissingTruncated,
            _ => source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::ErrorCode;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const NOT_REQUESTED: UsageSource = UsageSource::MissingNotRequested;

    #[test]
    fn aborted_stream_of_a_server_that_forces_usage_is_missing_aborted() {
        let mut forced = ForcedUsage::default();
        let [model, other] = ["m", "n"].map(|name| ModelLabel::new(name.as_bytes()));
        let failed = Outcome::Failed(ErrorCode::UpstreamReset);
        assert_eq!(forced.resolve(&model, NOT_REQUESTED, Outcome::Cancelled), NOT_REQUESTED);
        assert_eq!(
            forced.resolve(&model, UsageSource::Reported, Outcome::Success),
            UsageSource::Reported
        );
        assert_eq!(
            forced.resolve(&model, NOT_REQUESTED, Outcome::Cancelled),
            UsageSource::MissingAborted
        );
        assert_eq!(
            forced.resolve(&model, NOT_REQUESTED, failed),
            UsageSource::MissingTruncated
        );
        assert_eq!(forced.resolve(&other, NOT_REQUESTED, Outcome::Cancelled), NOT_REQUESTED);
        // A complete stream without usage shows that the server does not force it any more.
        assert_eq!(forced.resolve(&model, NOT_REQUESTED, Outcome::Success), NOT_REQUESTED);
        assert_eq!(forced.resolve(&model, NOT_REQUESTED, Outcome::Cancelled), NOT_REQUESTED);
    }

    #[test]
    fn memory_is_bounded_and_other_is_not_remembered() {
        let mut forced = ForcedUsage::default();
        for index in 0..MAX_MODELS + 10 {
            forced.resolve(
                &ModelLabel::new(index.to_string().as_bytes()),
                UsageSource::Reported,
                Outcome::Success,
            );
        }
        assert_eq!(forced.0.len(), MAX_MODELS);
        forced.0.clear();
        forced.resolve(&ModelLabel::other(), UsageSource::Reported, Outcome::Success);
        assert!(forced.0.is_empty());
    }
}
