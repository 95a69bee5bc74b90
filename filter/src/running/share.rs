//! The encoding of a VM's share of the gauge in shared data: lease holder, time of renewal, and requests in flight by
//! model.

use crate::labels::ModelLabel;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) holder: u64,
    pub(super) renewed_ns: u64,
    pub(super) counts: Vec<(ModelLabel, u64)>,
}

// === impl Share ===

impl Share {
    /// A line `holder renewed_ns`, then a line `count model` for each model. A label contains no newline.
    pub(super) fn encode<'a>(
        holder: u64,
        renewed_ns: u64,
        counts: impl Iterator<Item = (&'a ModelLabel, u64)>,
    ) -> Vec<u8> {
        let mut digits = itoa::Buffer::new();
        let mut text = Vec::with_capacity(128);
        text.extend_from_slice(digits.format(holder).as_bytes());
        text.push(b' ');
        text.extend_from_slice(digits.format(renewed_ns).as_bytes());
        for (model, count) in counts {
            text.push(b'\n');
            text.extend_from_slice(digits.format(count).as_bytes());
            text.push(b' ');
            text.extend_from_slice(model.as_str().as_bytes());
        }
        text
    }

    /// `None` for a free slot.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.split('\n');
        let (holder, renewed_ns) = lines.next()?.split_once(' ')?;
        let counts = lines.map(|line| {
            let (count, model) = line.split_once(' ')?;
            Some((ModelLabel::from_encoded(model), count.parse().ok()?))
        });
        Some(Self {
            holder: holder.parse().ok()?,
            renewed_ns: renewed_ns.parse().ok()?,
            counts: counts.collect::<Option<_>>()?,
        })
    }
}
