//! [`EnvoyPage`], the filter's series on one Envoy's stats page.

use std::sync::Arc;

use super::dropped::{DropCounts, DropReason};
use crate::exposition::Family;

/// The filter's series on one Envoy's page. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct EnvoyPage {
    /// All families that are served, in order, including those without series.
    pub(super) families: Arc<[Family]>,
    pub(super) dropped: DropCounts,
}

// === impl EnvoyPage ===

impl EnvoyPage {
    /// The number of series. A histogram counts as one.
    pub fn series(&self) -> usize {
        self.families.iter().map(|family| family.series.len()).sum()
    }

    /// The number of dropped series by reason.
    pub fn dropped(&self) -> impl Iterator<Item = (DropReason, u64)> {
        self.dropped.iter()
    }
}
