//! Why something on a page is not served, and how often.

/// Why something that carries one of the filter's names is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// Samples that are no whole number from 0 up, as all of the filter's are.
    NotAWholeNumber,
    /// Samples without one of the labels, or with a bound, that the filter's table has: another filter's, or another
    /// version's.
    OtherLabels,
    /// Series of which a sample is there twice.
    Twice,
    /// Histograms without their `+Inf` bucket or their sum. One that is being made while the page is written is such for
    /// a moment.
    Incomplete,
    /// Samples of series beyond the cap.
    BeyondCap,
}

/// How often each of them was the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    not_a_whole_number: u64,
    other_labels: u64,
    twice: u64,
    incomplete: u64,
    beyond_cap: u64,
}

// === impl LeftOut ===

impl LeftOut {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::NotAWholeNumber,
        Self::OtherLabels,
        Self::Twice,
        Self::Incomplete,
        Self::BeyondCap,
    ];

    /// Its label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAWholeNumber => "not_a_whole_number",
            Self::OtherLabels => "other_labels",
            Self::Twice => "twice",
            Self::Incomplete => "incomplete",
            Self::BeyondCap => "beyond_cap",
        }
    }
}

// === impl Counts ===

impl Counts {
    /// One more.
    pub(super) fn add(&mut self, reason: LeftOut) {
        *self.of(reason) += 1;
    }

    /// Each reason with its count.
    pub(super) fn iter(mut self) -> impl Iterator<Item = (LeftOut, u64)> {
        LeftOut::ALL.into_iter().map(move |reason| (reason, *self.of(reason)))
    }

    fn of(&mut self, reason: LeftOut) -> &mut u64 {
        match reason {
            LeftOut::NotAWholeNumber => &mut self.not_a_whole_number,
            LeftOut::OtherLabels => &mut self.other_labels,
            LeftOut::Twice => &mut self.twice,
            LeftOut::Incomplete => &mut self.incomplete,
            LeftOut::BeyondCap => &mut self.beyond_cap,
        }
    }
}
