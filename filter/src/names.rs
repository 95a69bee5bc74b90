//! Model names and pairs of them, interned: each has a small number, so that what happens on the path of a request indexes
//! arrays. Strings and trees are for names that are new to this VM.

use std::collections::BTreeMap;

use crate::labels::ModelLabel;

/// A model name of this VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModelId(u32);

/// A pair of model names of this VM: one that was requested and one that served the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairId(u32);

/// All names and pairs that this VM has interned. They are never removed: a new configuration finds exchanges in flight and
/// series with their numbers.
#[derive(Debug)]
pub(crate) struct Names {
    /// Indexed by [`ModelId`].
    labels: Vec<ModelLabel>,
    ids: BTreeMap<ModelLabel, ModelId>,
    pairs: BTreeMap<(ModelId, ModelId), PairId>,
    /// The pair found last: consecutive exchanges often have the same.
    last_pair: Option<((ModelId, ModelId), PairId)>,
}

/// Names as received, with their numbers, for those that recur. It holds one name for each slot, and a name's slot follows
/// from its length and its last bytes; names that share a slot displace each other.
#[derive(Debug)]
pub(crate) struct Recent {
    slots: Vec<Option<(Vec<u8>, ModelId)>>,
}

// === impl ModelId ===

impl ModelId {
    /// The number of [`ModelLabel::other`].
    pub(crate) const OTHER: Self = Self(0);
    /// The number of [`ModelLabel::unknown`].
    pub(crate) const UNKNOWN: Self = Self(1);

    #[cfg(test)]
    pub(crate) const fn new(index: u32) -> Self {
        Self(index)
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

// === impl PairId ===

impl PairId {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

// === impl Names ===

impl Default for Names {
    fn default() -> Self {
        let mut names = Self {
            labels: Vec::new(),
            ids: BTreeMap::new(),
            pairs: BTreeMap::new(),
            last_pair: None,
        };
        // In the order of `ModelId::OTHER` and `ModelId::UNKNOWN`.
        names.intern(ModelLabel::other());
        names.intern(ModelLabel::unknown());
        names
    }
}

impl Names {
    pub(crate) fn find(&self, label: &ModelLabel) -> Option<ModelId> {
        self.ids.get(label).copied()
    }

    pub(crate) fn intern(&mut self, label: ModelLabel) -> ModelId {
        if let Some(id) = self.find(&label) {
            return id;
        }
        let id = ModelId(self.labels.len() as u32);
        self.labels.push(label.clone());
        self.ids.insert(label, id);
        id
    }

    /// The label value of a name. `other` for a number of another VM.
    pub(crate) fn label(&self, id: ModelId) -> ModelLabel {
        self.labels.get(id.index()).cloned().unwrap_or_else(ModelLabel::other)
    }

    pub(crate) fn find_pair(&mut self, model: ModelId, target: ModelId) -> Option<PairId> {
        let pair = (model, target);
        if let Some((_, id)) = self.last_pair.filter(|(last, _)| *last == pair) {
            return Some(id);
        }
        let id = *self.pairs.get(&pair)?;
        self.last_pair = Some((pair, id));
        Some(id)
    }

    pub(crate) fn intern_pair(&mut self, model: ModelId, target: ModelId) -> PairId {
        if let Some(id) = self.find_pair(model, target) {
            return id;
        }
        let id = PairId(self.pairs.len() as u32);
        self.pairs.insert((model, target), id);
        id
    }
}

// === impl Recent ===

impl Default for Recent {
    fn default() -> Self {
        Self {
            slots: (0..Self::SLOTS).map(|_| None).collect(),
        }
    }
}

impl Recent {
    /// A power of two. Names may be long: this bounds the memory for them.
    const SLOTS: usize = 64;

    pub(crate) fn get(&self, name: &[u8]) -> Option<ModelId> {
        let (known, id) = self.slots.get(Self::slot(name))?.as_ref()?;
        (known == name).then_some(*id)
    }

    pub(crate) fn insert(&mut self, name: &[u8], id: ModelId) {
        if let Some(slot) = self.slots.get_mut(Self::slot(name)) {
            *slot = Some((name.to_vec(), id));
        }
    }

    fn slot(name: &[u8]) -> usize {
        /// 2^32 divided by the golden ratio: it spreads numbers that follow each other.
        const SPREAD: u32 = 0x9e37_79b1;
        let tail = match name.last_chunk() {
            Some(tail) => u32::from_le_bytes(*tail),
            None => name.iter().fold(0, |tail, byte| tail << 8 | u32::from(*byte)),
        };
        let mixed = (tail ^ name.len() as u32).wrapping_mul(SPREAD);
        (mixed >> (u32::BITS - Self::SLOTS.ilog2())) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn name_keeps_its_number_and_its_label() {
        let mut names = Names::default();
        assert_eq!(names.label(ModelId::OTHER), ModelLabel::other());
        assert_eq!(names.label(ModelId::UNKNOWN), ModelLabel::unknown());
        let ids: Vec<_> = (0..300)
            .map(|number| names.intern(ModelLabel::new(format!("m{number}").as_bytes())))
            .collect();
        for (number, id) in ids.iter().enumerate() {
            let label = ModelLabel::new(format!("m{number}").as_bytes());
            assert_eq!(names.intern(label.clone()), *id);
            assert_eq!((names.find(&label), names.label(*id)), (Some(*id), label));
        }
        assert_eq!(ids.last().map(|id| id.index()), Some(301));
    }

    #[test]
    fn pairs_are_numbered_in_the_order_of_their_first_use() {
        let mut names = Names::default();
        let [a, b] = [b"a", b"b"].map(|name| names.intern(ModelLabel::new(name)));
        let numbers = [(a, a), (a, b), (b, a), (a, b), (a, a), (b, b)].map(|(a, b)| names.intern_pair(a, b).index());
        assert_eq!(numbers, [0, 1, 2, 1, 0, 3]);
    }

    #[test]
    fn recent_name_is_found_by_all_its_bytes() {
        let mut recent = Recent::default();
        recent.insert(b"model-1", ModelId::new(7));
        assert_eq!(recent.get(b"model-1"), Some(ModelId::new(7)));
        // The same slot: only the beginning differs.
        assert_eq!(recent.get(b"Model-1"), None);
        for name in [&b""[..], b"1", b"odel-1", b"model-2"] {
            assert_eq!(recent.get(name), None);
        }
        recent.insert(b"Model-1", ModelId::new(8));
        assert_eq!(
            (recent.get(b"Model-1"), recent.get(b"model-1")),
            (Some(ModelId::new(8)), None)
        );
    }

    #[test]
    fn two_hundred_numbered_names_use_most_slots() {
        let names = (0..200).map(|number| format!("adapter-{number:03}"));
        let slots: std::collections::BTreeSet<_> = names.map(|name| Recent::slot(name.as_bytes())).collect();
        assert!(slots.len() > Recent::SLOTS / 2, "{} slots", slots.len());
    }
}
