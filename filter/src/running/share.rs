//! A VM's contribution to the gauge as it stands in the shared map: tenancy, last heartbeat, and the running requests
//! of each model.

use std::collections::HashMap;

use crate::labels::ModelLabel;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) tenancy: u64,
    pub(super) beat: u64,
    pub(super) counts: Vec<(ModelLabel, u64)>,
}

// === impl Share ===

impl Share {
    /// What stands in a slot that is free.
    pub(super) const VACANT: [u8; 0] = [];

    /// `tenancy beat`, then a line `count model` each; a label holds no line end.
    pub(super) fn encode(tenancy: u64, beat: u64, counts: &HashMap<ModelLabel, u64>) -> Vec<u8> {
        let mut text = format!("{tenancy} {beat}");
        for (model, count) in counts {
            text.push_str(&format!("\n{count} {}", model.as_str()));
        }
        text.into_bytes()
    }

    /// `None` for a free slot.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.split('\n');
        let (tenancy, beat) = lines.next()?.split_once(' ')?;
        let counts = lines.map(|line| {
            let (count, model) = line.split_once(' ')?;
            Some((ModelLabel::from_encoded(model), count.parse().ok()?))
        });
        Some(Self {
            tenancy: tenancy.parse().ok()?,
            beat: beat.parse().ok()?,
            counts: counts.collect::<Option<_>>()?,
        })
    }
}
