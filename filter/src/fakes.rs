//! An in-memory host for tests: the shared map and the stats of one Envoy process. The feature `fakes` exposes it to other
//! crates. It panics on an invalid use of a stat, such as a falling counter or a negative gauge.
#![allow(clippy::indexing_slicing, reason = "an unknown handle fails the test")]

#[cfg(all(test, not(target_arch = "wasm32")))]
pub(crate) mod interleave;

use std::collections::BTreeMap;

use crate::shared::{SharedData, StatId, StatKind, StatSink, Version};

/// One Envoy process, which any number of workers can share.
#[derive(Clone, Debug, Default)]
pub struct FakeHost {
    shared: BTreeMap<String, (Vec<u8>, Version)>,
    /// The calls so far, by name, in order.
    log: Vec<&'static str>,
    stats: Vec<(StatKind, i64)>,
    names: BTreeMap<String, StatId>,
    /// Created just before the next `create` of its key, as by a faster worker.
    race: Option<(String, Vec<u8>)>,
}

// === impl FakeHost ===

impl FakeHost {
    /// The value of a stat; 0 if it is not defined.
    pub fn value(&self, name: &str) -> i64 {
        self.names.get(name).map_or(0, |id| self.stats[*id as usize].1)
    }

    /// The number of calls of this name so far.
    pub fn calls(&self, name: &str) -> usize {
        self.log.iter().filter(|call| **call == name).count()
    }

    /// The names of all calls so far, in order.
    pub fn log(&self) -> &[&'static str] {
        &self.log
    }

    /// Forgets the calls so far.
    pub fn forget_log(&mut self) {
        self.log.clear();
    }

    /// The shared map, with the versions of its values.
    pub fn shared(&self) -> &BTreeMap<String, (Vec<u8>, Version)> {
        &self.shared
    }

    /// All defined stats, sorted by name.
    pub fn stats(&self) -> BTreeMap<&str, i64> {
        let values = self.names.iter();
        values
            .map(|(name, id)| (name.as_str(), self.stats[*id as usize].1))
            .collect()
    }

    /// Makes another worker win the race to create this key.
    pub fn race_create(&mut self, key: &str, value: &[u8]) {
        self.race = Some((key.to_owned(), value.to_vec()));
    }

    fn name(&self, stat: StatId) -> &str {
        let name = self.names.iter().find(|(_, id)| **id == stat);
        name.map_or("an undefined stat", |(name, _)| name)
    }

    fn store(&mut self, key: &str, value: &[u8]) -> bool {
        let (stored, version) = self.shared.entry(key.to_owned()).or_default();
        *stored = value.to_vec();
        *version += 1;
        true
    }
}

impl SharedData for FakeHost {
    fn get(&mut self, key: &str) -> Option<(Vec<u8>, Version)> {
        self.log.push("get");
        self.shared.get(key).cloned()
    }

    fn create(&mut self, key: &str, value: &[u8]) -> bool {
        self.log.push("create");
        if let Some((raced, theirs)) = self.race.take_if(|(raced, _)| raced == key) {
            self.store(&raced, &theirs);
        }
        !self.shared.contains_key(key) && self.store(key, value)
    }

    fn replace(&mut self, key: &str, value: &[u8], version: Version) -> bool {
        self.log.push("replace");
        self.shared.get(key).is_some_and(|(_, known)| *known == version) && self.store(key, value)
    }
}

impl StatSink for FakeHost {
    fn define(&mut self, kind: StatKind, name: &str) -> Option<StatId> {
        self.log.push("define");
        if let Some(id) = self.names.get(name) {
            assert_eq!(
                self.stats[*id as usize].0, kind,
                "{name} is already defined with another kind"
            );
            return Some(*id);
        }
        let id = self.stats.len() as StatId;
        self.stats.push((kind, 0));
        self.names.insert(name.to_owned(), id);
        Some(id)
    }

    fn add(&mut self, stat: StatId, delta: i64) {
        self.log.push("add");
        let (kind, value) = &mut self.stats[stat as usize];
        *value += delta;
        let valid = *value >= 0 && (*kind == StatKind::Gauge || delta > 0);
        assert!(valid, "{} by {delta}", self.name(stat));
    }

    fn set_gauge(&mut self, stat: StatId, value: u64) {
        self.log.push("set_gauge");
        assert_eq!(self.stats[stat as usize].0, StatKind::Gauge, "{}", self.name(stat));
        self.stats[stat as usize].1 = value as i64;
    }

    fn gauge(&mut self, stat: StatId) -> u64 {
        self.log.push("gauge");
        self.stats[stat as usize].1 as u64
    }
}
