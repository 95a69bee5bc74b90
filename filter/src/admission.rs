//! Admission of model names as label values. Clients choose the names and Envoy never expires a stat, so the set is
//! bounded: configured names are always admitted, any other by its first 2xx response, up to a limit per Envoy process.
//! So are the pairs of a model and another target: each has some two hundred stats.
//!
//! Workers agree through append-only logs in shared data: entry N holds what was admitted Nth and is written once, by the
//! first worker to create it. A worker that does not know a name reads the entries it has not read yet; usually that is
//! one read of an absent entry.

use std::collections::HashSet;

use crate::labels::ModelLabel;
use crate::shared::SharedData;

/// The admitted names and pairs as this worker knows them.
#[derive(Debug)]
pub(crate) struct Admission {
    configured: HashSet<ModelLabel>,
    admitted: HashSet<ModelLabel>,
    models: Log,
    pairs: HashSet<(ModelLabel, ModelLabel)>,
    pair_log: Log,
    /// The last name found: consecutive requests often name the same model.
    last: Option<(Vec<u8>, ModelLabel)>,
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
        Self {
            configured: configured.iter().map(|name| ModelLabel::new(name.as_bytes())).collect(),
            admitted: HashSet::new(),
            models: Log::new("infertally.model", max_models),
            pairs: HashSet::new(),
            // With the pairs of a name and itself, twice as many as there can be names.
            pair_log: Log::new("infertally.pair", configured.len() + max_models),
            last: None,
        }
    }

    /// The label of an admitted name, or `None`.
    pub(crate) fn find(&mut self, name: &[u8], shared: &mut impl SharedData) -> Option<ModelLabel> {
        if let Some((last, label)) = &self.last
            && last == name
        {
            return Some(label.clone());
        }
        let found = self.find_uncached(name, shared);
        if let Some(label) = &found {
            self.last = Some((name.to_vec(), label.clone()));
        }
        found
    }

    /// The label of a name with a 2xx response: admitted now, or `None` if it is over the limit.
    pub(crate) fn admit(&mut self, name: &[u8], shared: &mut impl SharedData) -> Option<ModelLabel> {
        loop {
            if let Some(label) = self.find(name, shared) {
                return Some(label);
            }
            let label = ModelLabel::new(name);
            match self.models.append(label.as_str(), shared) {
                Append::Appended => _ = self.admitted.insert(label),
                // The next iteration reads the other worker's entry.
                Append::Raced => {}
                Append::Full => return None,
            }
        }
    }

    /// Whether a model and its target may share series. A name and itself always may. A pair that the client chose, by a
    /// header, takes no place in the second half: clients can't use up what model servers need.
    pub(crate) fn admit_pair(
        &mut self,
        model: &ModelLabel,
        target: &ModelLabel,
        by_client: bool,
        shared: &mut impl SharedData,
    ) -> bool {
        if model == target {
            return true;
        }
        let pair = (model.clone(), target.clone());
        loop {
            if self.pairs.contains(&pair) {
                return true;
            }
            let pairs = &mut self.pairs;
            self.pair_log.read(shared, |entry| {
                if let Some((model, target)) = entry.split_once(SEPARATOR) {
                    pairs.insert((ModelLabel::from_encoded(model), ModelLabel::from_encoded(target)));
                }
            });
            if self.pairs.contains(&pair) {
                return true;
            }
            if by_client && self.pair_log.next >= self.pair_log.limit / 2 {
                return false;
            }
            let entry = format!("{}{SEPARATOR}{}", model.as_str(), target.as_str());
            match self.pair_log.append(&entry, shared) {
                Append::Appended => _ = self.pairs.insert(pair.clone()),
                Append::Raced => {}
                Append::Full => return false,
            }
        }
    }

    /// Number of names that the process has admitted, without the configured ones.
    pub(crate) fn count(&mut self, shared: &mut impl SharedData) -> usize {
        self.read_models(shared);
        self.models.next
    }

    fn find_uncached(&mut self, name: &[u8], shared: &mut impl SharedData) -> Option<ModelLabel> {
        let label = ModelLabel::new(name);
        self.known(&label).or_else(|| {
            self.read_models(shared);
            self.known(&label)
        })
    }

    fn known(&self, label: &ModelLabel) -> Option<ModelLabel> {
        self.admitted.get(label).or_else(|| self.configured.get(label)).cloned()
    }

    fn read_models(&mut self, shared: &mut impl SharedData) {
        let Self { models, admitted, .. } = self;
        models.read(shared, |entry| {
            admitted.insert(ModelLabel::from_encoded(entry));
        });
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
    use super::*;
    use crate::fakes::FakeHost;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn name(label: Option<ModelLabel>) -> Option<String> {
        label.map(|label| label.as_str().to_owned())
    }

    #[test]
    fn configured_name_is_admitted_and_does_not_count_towards_the_limit() {
        let mut host = FakeHost::default();
        let mut admission = Admission::new(&["base".to_owned()], 1);
        assert_eq!(name(admission.find(b"base", &mut host)).as_deref(), Some("base"));
        assert_eq!(name(admission.admit(b"a", &mut host)).as_deref(), Some("a"));
        assert_eq!(name(admission.admit(b"b", &mut host)), None);
        assert_eq!(name(admission.find(b"a", &mut host)).as_deref(), Some("a"));
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
        assert_eq!(name(slow.admit(b"ours", &mut host)).as_deref(), Some("ours"));
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
        let label = |name: String| ModelLabel::new(name.as_bytes());
        let mut workers: Vec<_> = (0..3).map(|_| Admission::new(&["base".to_owned()], 4)).collect();
        let mut admitted = HashSet::new();
        for number in 0..60 {
            let pair = (label(format!("m{}", number % 7)), label(format!("t{}", number % 5)));
            if workers[number % 3].admit_pair(&pair.0, &pair.1, false, &mut host) {
                admitted.insert(pair);
            }
        }
        assert_eq!(admitted.len(), 5);
        for worker in &mut workers {
            for (model, target) in &admitted {
                assert!(worker.admit_pair(model, target, false, &mut host));
            }
            let own = label("m9".to_owned());
            assert!(worker.admit_pair(&own, &own, false, &mut host));
        }
    }

    #[test]
    fn clients_cannot_use_up_the_pairs_of_model_servers() {
        let mut host = FakeHost::default();
        let mut admission = Admission::new(&[], 10);
        let label = |name: usize| ModelLabel::new(name.to_string().as_bytes());
        let mut admitted = |by_client, host: &mut FakeHost| {
            let pairs = (0..100).map(|number| (label(number), label(number + 1000 + usize::from(by_client))));
            let admitted = pairs.filter(|(model, target)| admission.admit_pair(model, target, by_client, host));
            admitted.count()
        };
        assert_eq!(admitted(true, &mut host), 5);
        assert_eq!(admitted(false, &mut host), 5);
        assert_eq!(admitted(true, &mut host), 5);
    }
}
