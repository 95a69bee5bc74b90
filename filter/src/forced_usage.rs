//! The models whose servers report usage that the request did not include, such as vLLM with
//! `--enable-force-include-usage`.
//!
//! A stream of such a server that has no usage was cut off, whatever its request. Each VM learns this from its own
//! traffic: until the first complete stream of a model in a VM, an aborted one counts as not requested.

use crate::exchange::Outcome;
use crate::labels::UsageSource;
use crate::names::ModelId;

/// The models of one VM, by the number of the serving model.
#[derive(Debug, Default)]
pub(crate) struct ForcedUsage(Vec<bool>);

// === impl ForcedUsage ===

impl ForcedUsage {
    /// Learns from a stream whose request did not include usage, and returns the source of its counts.
    pub(crate) fn resolve(&mut self, model: ModelId, source: UsageSource, outcome: Outcome) -> UsageSource {
        match (source, outcome) {
            (UsageSource::Reported, _) => {
                // Names over the limit share a label, and their servers have nothing in common.
                if model != ModelId::OTHER {
                    self.set(model, true);
                }
                source
            }
            // The server no longer reports usage, or not all servers of the model do.
            (UsageSource::MissingNotRequested, Outcome::Success) => {
                self.set(model, false);
                source
            }
            (UsageSource::MissingNotRequested, _) if !self.is_forced(model) => source,
            (UsageSource::MissingNotRequested, Outcome::Cancelled) => UsageSource::MissingAborted,
            (UsageSource::MissingNotRequested, Outcome::Failed(_)) => UsageSource::MissingTruncated,
            _ => source,
        }
    }

    fn is_forced(&self, model: ModelId) -> bool {
        self.0.get(model.index()).is_some_and(|forced| *forced)
    }

    fn set(&mut self, model: ModelId, forced: bool) {
        if forced && self.0.len() <= model.index() {
            self.0.resize(model.index() + 1, false);
        }
        if let Some(flag) = self.0.get_mut(model.index()) {
            *flag = forced;
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
        let [model, other] = [7, 9].map(ModelId::new);
        let failed = Outcome::Failed(ErrorCode::UpstreamReset);
        assert_eq!(forced.resolve(model, NOT_REQUESTED, Outcome::Cancelled), NOT_REQUESTED);
        assert_eq!(
            forced.resolve(model, UsageSource::Reported, Outcome::Success),
            UsageSource::Reported
        );
        assert_eq!(
            forced.resolve(model, NOT_REQUESTED, Outcome::Cancelled),
            UsageSource::MissingAborted
        );
        assert_eq!(
            forced.resolve(model, NOT_REQUESTED, failed),
            UsageSource::MissingTruncated
        );
        assert_eq!(forced.resolve(other, NOT_REQUESTED, Outcome::Cancelled), NOT_REQUESTED);
        // A complete stream without usage shows that the server does not force it any more.
        assert_eq!(forced.resolve(model, NOT_REQUESTED, Outcome::Success), NOT_REQUESTED);
        assert_eq!(forced.resolve(model, NOT_REQUESTED, Outcome::Cancelled), NOT_REQUESTED);
    }

    #[test]
    fn other_is_not_remembered() {
        let mut forced = ForcedUsage::default();
        forced.resolve(ModelId::OTHER, UsageSource::Reported, Outcome::Success);
        assert_eq!(
            forced.resolve(ModelId::OTHER, NOT_REQUESTED, Outcome::Cancelled),
            NOT_REQUESTED
        );
    }
}
