//! [`DropReason`], why a series of a page is not served, and the count of each reason.

/// Why a series with one of the filter's names is not served. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The value is not an integer from 0 up, as all of the filter's are.
    InvalidValue,
    /// A label of the filter's table is missing or duplicate, or the bound is not in the table: the series is another
    /// filter's, or another version's.
    UnexpectedLabels,
    /// The page has a sample of the series more than once.
    Duplicate,
    /// A histogram lacks its `+Inf` bucket or its sum. This is normal for a moment after its first observation.
    Incomplete,
    /// The page has more series than [`super::MAX_SERIES`].
    OverLimit,
}

/// The number of dropped series by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DropCounts {
    invalid_value: u64,
    unexpected_labels: u64,
    duplicate: u64,
    incomplete: u64,
    over_limit: u64,
}

// === impl DropReason ===

impl DropReason {
    /// All reasons.
    pub const ALL: [Self; 5] = [
        Self::InvalidValue,
        Self::UnexpectedLabels,
        Self::Duplicate,
        Self::Incomplete,
        Self::OverLimit,
    ];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidValue => "invalid_value",
            Self::UnexpectedLabels => "unexpected_labels",
            Self::Duplicate => "duplicate",
            Self::Incomplete => "incomplete",
            Self::OverLimit => "over_limit",
        }
    }
}

// === impl DropCounts ===

impl DropCounts {
    pub(super) fn increment(&mut self, reason: DropReason) {
        *self.count_mut(reason) += 1;
    }

    pub(super) fn iter(mut self) -> impl Iterator<Item = (DropReason, u64)> {
        let reasons = DropReason::ALL.into_iter();
        reasons.map(move |reason| (reason, *self.count_mut(reason)))
    }

    fn count_mut(&mut self, reason: DropReason) -> &mut u64 {
        match reason {
            DropReason::InvalidValue => &mut self.invalid_value,
            DropReason::UnexpectedLabels => &mut self.unexpected_labels,
            DropReason::Duplicate => &mut self.duplicate,
            DropReason::Incomplete => &mut self.incomplete,
            DropReason::OverLimit => &mut self.over_limit,
        }
    }
}
