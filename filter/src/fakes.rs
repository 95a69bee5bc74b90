//! A host for tests: the shared map and the stats of one process, in memory.

use std::collections::BTreeMap;

use crate::shared::{SharedData, StatId, StatKind, StatSink, Version};

/// One process; give it to as many workers as a test needs.
#[derive(Debug, Default)]
pub(crate) struct FakeHost {
    shared: BTreeMap<String, (Vec<u8>, Version)>,
    version: Version,
    stats: Vec<(StatKind, String, i64)>,
    /// Happens before the next `create` of its key, as if another worker had been faster.
    first: Option<(String, Vec<u8>)>,
}

// === impl FakeHost ===

impl FakeHost {
    /// The value of a stat; 0 if there is none.
    pub(crate) fn value(&self, name: &str) -> i64 {
        self.stats
            .iter()
            .find(|(_, known, _)| known == name)
            .map_or(0, |(_, _, value)| *value)
    }

    /// All stats that are there, sorted by name.
    pub(crate) fn stats(&self) -> BTreeMap<&str, i64> {
        self.stats
            .iter()
            .map(|(_, name, value)| (name.as_str(), *value))
            .collect()
    }

    /// Lets another worker create this key first.
    pub(crate) fn create_first(&mut self, key: &str, value: &[u8]) {
        self.first = Some((key.to_owned(), value.to_vec()));
    }

    fn store(&mut self, key: &str, value: &[u8]) -> bool {
        self.version += 1;
        self.shared.insert(key.to_owned(), (value.to_vec(), self.version));
        true
    }
}

impl SharedData for FakeHost {
    fn get(&mut self, key: &str) -> Option<(Vec<u8>, Version)> {
        self.shared.get(key).cloned()
    }

    fn set(&mut self, key: &str, value: &[u8]) {
        self.store(key, value);
    }

    fn create(&mut self, key: &str, value: &[u8]) -> bool {
        if let Some((first, theirs)) = self.first.take_if(|(first, _)| first == key) {
            self.store(&first, &theirs);
        }
        !self.shared.contains_key(key) && self.store(key, value)
    }

    fn replace(&mut self, key: &str, value: &[u8], version: Version) -> bool {
        self.shared.get(key).is_some_and(|(_, known)| *known == version) && self.store(key, value)
    }
}

impl StatSink for FakeHost {
    fn define(&mut self, kind: StatKind, name: &str) -> Option<StatId> {
        let known = self.stats.iter().position(|(_, known, _)| known == name);
        let index = known.unwrap_or_else(|| {
            self.stats.push((kind, name.to_owned(), 0));
            self.stats.len() - 1
        });
        assert_eq!(self.stats[index].0, kind, "{name} is of another kind");
        Some(index as StatId)
    }

    fn add(&mut self, stat: StatId, delta: i64) {
        let (kind, name, value) = &mut self.stats[stat as usize];
        assert!(*kind == StatKind::Gauge || delta > 0, "counter {name} by {delta}");
        *value += delta;
        assert!(*value >= 0, "{name} is {value}");
    }

    fn set_gauge(&mut self, stat: StatId, value: u64) {
        let (kind, name, known) = &mut self.stats[stat as usize];
        assert_eq!(*kind, StatKind::Gauge, "{name}");
        *known = value as i64;
    }

    fn gauge(&mut self, stat: StatId) -> u64 {
        self.stats[stat as usize].2 as u64
    }
}
