//! Admission of model names as label values. Clients choose the names and Envoy never expires a stat, so the set is
//! bounded: configured names are always admitted, any other by its first 2xx response, up to a limit per Envoy process.
//! So are the pairs of a model and another target: each has some two hundred stats.
//!
//! Workers agree through append-only logs in shared data: entry N holds what was admitted Nth and is written once, by the
//! first worker to create it. A worker that does not know a name reads the entries it has not read yet; usually that is
//! one read of an absent entry.

use crate::labels::ModelLabel;
use crate::names::{ModelId, Names, PairId, Recent};
use crate::shared::SharedData;

/// The admitted names and pairs as this worker knows them.
#[derive(Debug)]
pub(crate) struct Admission {
    names: Names,
    recent: Recent,
    /// Whether a name is configured or admitted, by [`ModelId`].
    models: Vec<bool>,
    model_log: Log,
    /// Whether a pair is admitted, by [`PairId`].
    pairs: Vec<bool>,
    pair_log: Log,
}

/// An append-only log in shared data.
#[derive(Debug)]
struct Log {
    /// What the keys of the entries begin with.
    key: &'static str,
    limit: usize,
    /// Index of the first entry that this worker has not read.
    next: usize,
}

/// The result of [`Log::append`].
enum Append {
    Appended,
    /// Another worker created the entry first.
    Raced,
    Full,
}

/// Separates the names of a pair; a label contains no newline.
const SEPARATOR: char = '\n';

// === impl Admission ===

impl Admission {
    pub(crate) fn new(configured: &[String], max_models: usize) -> Self {
        let mut admission = Self {
            names: Names::default(),
            recent: Recent::default(),
            models: Vec::new(),
            model_log: Log::new("infertally.model", 0),
            pairs: Vec::new(),
            pair_log: Log::new("infertally.pair", 0),
        };
        admission.configure(configured, max_models);
        admission
    }

    /// Begins again with other names and limits. The numbers of names and pairs stay valid.
    pub(crate) fn configure(&mut self, configured: &[String], max_models: usize) {
        self.recent = Recent::default();
        self.models.clear();
        self.pairs.clear();
        self.model_log = Log::new("infertally.model", max_models);
        // With the pairs of a name and itself, twice as many as there can be names.
        self.pair_log = Log::new("infertally.pair", configured.len() + max_models);
        for name in configured {
            let id = self.names.intern(ModelLabel::new(name.as_bytes()));
            set(&mut self.models, id.index());
        }
    }

    /// The label value of a name that this admission has found.
    pub(crate) fn label(&self, model: ModelId) -> ModelLabel {
        self.names.label(model)
    }

    /// The number of an admitted name, or `None`.
    pub(crate) fn find(&mut self, name: &[u8], shared: &mut impl SharedData) -> Option<ModelId> {
        if let Some(id) = self.recent.get(name) {
            return Some(id);
        }
        let label = ModelLabel::new(name);
        let found = self.known(&label).or_else(|| {
            self.read_models(shared);
            self.known(&label)
        })?;
        self.recent.insert(name, found);
        Some(found)
    }

    /// The number of a name with a 2xx response: admitted now, or `None` if it is over the limit.
    pub(crate) fn admit(&mut self, name: &[u8], shared: &mut impl SharedData) -> Option<ModelId> {
        loop {
            if let Some(id) = self.find(name, shared) {
                return Some(id);
            }
            let label = ModelLabel::new(name);
            match self.model_log.append(label.as_str(), shared) {
                Append::Appended => {
                    let id = self.names.intern(label);
                    set(&mut self.models, id.index());
                }
                // The next iteration reads the other worker's entry.
                Append::Raced => {}
                Append::Full => return None,
            }
        }
    }

    /// The pair of a model and its target, if they may share series. A name and itself always may. A pair that the client
    /// chose, by a header, takes no place in the second half: clients can't use up what model servers need.
    pub(crate) fn admit_pair(
        &mut self,
        model: ModelId,
        target: ModelId,
        by_client: bool,
        shared: &mut impl SharedData,
    ) -> Option<PairId> {
        if model == target {
            return Some(self.names.intern_pair(model, target));
        }
        loop {
            if let Some(pair) = self.known_pair(model, target) {
                return Some(pair);
            }
            let Self { names, pairs, .. } = self;
            self.pair_log.read(shared, |entry| {
                if let Some((model, target)) = entry.split_once(SEPARATOR) {
                    let [model, target] = [model, target].map(|label| names.intern(ModelLabel::from_encoded(label)));
                    set(pairs, names.intern_pair(model, target).index());
                }
            });
            if let Some(pair) = self.known_pair(model, target) {
                return Some(pair);
            }
            if by_client && self.pair_log.next >= self.pair_log.limit / 2 {
                return None;
            }
            let [first, second] = [model, target].map(|id| self.names.label(id));
            let entry = format!("{}{SEPARATOR}{}", first.as_str(), second.as_str());
            match self.pair_log.append(&entry, shared) {
                Append::Appended => set(&mut self.pairs, self.names.intern_pair(model, target).index()),
                Append::Raced => {}
                Append::Full => return None,
            }
        }
    }

    /// The pair of a name and itself.
    pub(crate) fn own_pair(&mut self, model: ModelId) -> PairId {
        self.names.intern_pair(model, model)
    }

    /// Number of names that the process has admitted, without the configured ones.
    pub(crate) fn count(&mut self, shared: &mut impl SharedData) -> usize {
        self.read_models(shared);
        self.model_log.next
    }

    fn known(&self, label: &ModelLabel) -> Option<ModelId> {
        self.names.find(label).filter(|id| is_set(&self.models, id.index()))
    }

    fn known_pair(&mut self, model: ModelId, target: ModelId) -> Option<PairId> {
        let pair = self.names.find_pair(model, target)?;
        is_set(&self.pairs, pair.index()).then_some(pair)
    }

    fn read_models(&mut self, shared: &mut impl SharedData) {
        let Self {
            names,
            models,
            model_log,
            ..
        } = self;
        model_log.read(shared, |entry| {
            let id = names.intern(ModelLabel::from_encoded(entry));
            set(models, id.index());
        });
    }
}

fn is_set(flags: &[bool], index: usize) -> bool {
    flags.get(index).is_some_and(|flag| *flag)
}

fn set(flags: &mut Vec<bool>, index: usize) {
    if index >= flags.len() {
        flags.resize(index + 1, false);
    }
    if let Some(flag) = flags.get_mut(index) {
        *flag = true;
    }
}

// === impl Log ===

impl Log {
    fn new(key: &'static str, limit: usize) -> Self {
        Self { key, limit, next: 0 }
    }

    /// Reads the entries that other workers have appended.
    fn read(&mut self, shared: &mut impl SharedData, mut each: impl FnMut(&str)) {
        while self.next < self.limit {
            let Some((entry, _)) = shared.get(&self.entry_key()) else {
                return;
            };
            each(&String::from_utf8_lossy(&entry));
            self.next += 1;
        }
    }

    /// Appends an entry, if this worker has read all others.
    fn append(&mut self, entry: &str, shared: &mut impl SharedData) -> Append {
        if self.next >= self.limit {
            return Append::Full;
        }
        let key = self.entry_key();
        if shared.create(&key, entry.as_bytes()) {
            self.next += 1;
            Append::Appended
        } else if shared.get(&key).is_some() {
            Append::Raced
        } else {
            // The host stores nothing.
            Append::Full
        }
    }

    fn entry_key(&self) -> String {
        format!("{}.{}", self.key, self.next)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::fakes::FakeHost;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// The label of a name as an admission finds it.
    fn find(admission: &mut Admission, name: &str, host: &mut FakeHost) -> Option<String> {
        let id = admission.find(name.as_bytes(), host)?;
        Some(admission.label(id).as_str().to_owned())
    }

    /// The label of a name as an admission admits it.
    fn admit(admission: &mut Admission, name: &str, host: &mut FakeHost) -> Option<String> {
        let id = admission.admit(name.as_bytes(), host)?;
        Some(admission.label(id).as_str().to_owned())
    }

    #[test]
    fn configured_name_is_admitted_and_does_not_count_towards_the_limit() {
        let mut host = FakeHost::default();
        let mut admission = Admission::new(&["base".to_owned()], 1);
        assert_eq!(find(&mut admission, "base", &mut host).as_deref(), Some("base"));
        assert_eq!(admit(&mut admission, "a", &mut host).as_deref(), Some("a"));
        assert_eq!(admit(&mut admission, "b", &mut host), None);
        assert_eq!(find(&mut admission, "a", &mut host).as_deref(), Some("a"));
    }

    #[test]
    fn other_name_is_admitted_by_its_first_2xx_response() {
        let mut host = FakeHost::default();
        let mut admission = Admission::new(&[], 10);
        assert_eq!(admission.find(b"a", &mut host), None);
        assert!(admission.admit(b"a", &mut host).is_some());
        assert!(admission.find(b"a", &mut host).is_some());
    }

    #[test]
    fn workers_admit_the_same_names_up_to_the_limit() {
        let mut host = FakeHost::default();
        let mut workers: Vec<_> = (0..4).map(|_| Admission::new(&[], 7)).collect();
        for round in 0..50 {
            for (index, worker) in workers.iter_mut().enumerate() {
                worker.admit(format!("model-{}", (round * 4 + index) % 30).as_bytes(), &mut host);
            }
        }
        let admitted = |worker: &mut Admission, host: &mut FakeHost| -> Vec<_> {
            (0..30)
                .filter(|model| worker.find(format!("model-{model}").as_bytes(), host).is_some())
                .collect()
        };
        let first = admitted(&mut workers[0], &mut host);
        assert_eq!(first.len(), 7);
        assert!(workers.iter_mut().all(|worker| admitted(worker, &mut host) == first));
        // A replaced VM reads all of them from the log.
        assert_eq!(admitted(&mut Admission::new(&[], 7), &mut host), first);
    }

    #[test]
    fn lost_race_for_an_entry_admits_both_names() {
        let mut host = FakeHost::default();
        let mut slow = Admission::new(&[], 10);
        // The other worker creates the entry between this one's read and its own create.
        host.race_create("infertally.model.0", b"theirs");
        assert_eq!(admit(&mut slow, "ours", &mut host).as_deref(), Some("ours"));
        assert!(slow.find(b"theirs", &mut host).is_some());
    }

    #[test]
    fn limit_of_zero_admits_only_configured_names() {
        let mut host = FakeHost::default();
        let mut admission = Admission::new(&[], 0);
        assert_eq!(admission.admit(b"a", &mut host), None);
    }

    #[test]
    fn pairs_are_bounded_for_all_workers_together_and_a_name_with_itself_is_free() {
        let mut host = FakeHost::default();
        let mut workers: Vec<_> = (0..3).map(|_| Admission::new(&["base".to_owned()], 4)).collect();
        let mut admit = |worker: usize, model: &str, target: &str, host: &mut FakeHost| {
            let admission = &mut workers[worker];
            let [model, target] = [model, target].map(|name| admission.names.intern(ModelLabel::new(name.as_bytes())));
            admission.admit_pair(model, target, false, host).is_some()
        };
        let mut admitted = BTreeSet::new();
        for number in 0..60 {
            let pair = (format!("m{}", number % 7), format!("t{}", number % 5));
            if admit(number % 3, &pair.0, &pair.1, &mut host) {
                admitted.insert(pair);
            }
        }
        assert_eq!(admitted.len(), 5);
        for worker in 0..3 {
            for (model, target) in &admitted {
                assert!(admit(worker, model, target, &mut host));
            }
            assert!(admit(worker, "m9", "m9", &mut host));
        }
    }

    #[test]
    fn clients_cannot_use_up_the_pairs_of_model_servers() {
        let mut host = FakeHost::default();
        let mut admission = Admission::new(&[], 10);
        let mut admitted = |by_client, host: &mut FakeHost| {
            let pairs = (0..100).filter(|number| {
                let [model, target] = [*number, number + 1000 + usize::from(by_client)]
                    .map(|name| admission.names.intern(ModelLabel::new(name.to_string().as_bytes())));
                admission.admit_pair(model, target, by_client, host).is_some()
            });
            pairs.count()
        };
        assert_eq!(admitted(true, &mut host), 5);
        assert_eq!(admitted(false, &mut host), 5);
        assert_eq!(admitted(true, &mut host), 5);
    }

    #[test]
    fn new_configuration_keeps_numbers_and_admits_again() {
        let mut host = FakeHost::default();
        let mut admission = Admission::new(&["a".to_owned()], 10);
        let [a, b] = [b"a", b"b"].map(|name| admission.admit(name, &mut host).unwrap());
        let pair = admission.admit_pair(a, b, false, &mut host);
        admission.configure(&["c".to_owned()], 10);
        assert_eq!(admission.label(a).as_str(), "a");
        assert_eq!(admission.find(b"a", &mut host), None);
        // Both are in the logs, which the new configuration shares.
        assert_eq!(admission.find(b"b", &mut host), Some(b));
        assert_eq!(admission.admit_pair(a, b, false, &mut host), pair);
        assert!(admission.find(b"c", &mut host).is_some());
    }

    #[test]
    fn recurring_name_costs_no_look_up_in_shared_data() {
        let mut host = FakeHost::default();
        let mut admission = Admission::new(&["base".to_owned()], 10);
        for name in ["a", "b", "base"] {
            admission.admit(name.as_bytes(), &mut host);
        }
        host.forget_log();
        for name in ["a", "b", "base", "a"] {
            assert!(admission.find(name.as_bytes(), &mut host).is_some());
        }
        assert_eq!(host.log(), [] as [&str; 0]);
    }
}
