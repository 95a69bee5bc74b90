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
        let mut text = Vec::with_capacity(128);
        push_number(&mut text, tenancy);
        text.push(b' ');
        push_number(&mut text, beat);
        for (model, count) in counts {
            text.push(b'\n');
            push_number(&mut text, *count);
            text.push(b' ');
            text.extend_from_slice(model.as_str().as_bytes());
        }
        text
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

/// In decimal. (The formatting machinery costs a few times as much, on the path of every request.)
fn push_number(text: &mut Vec<u8>, mut number: u64) {
    let start = text.len();
    loop {
        text.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = text.get_mut(start..) {
        digits.reverse();
    }
}
