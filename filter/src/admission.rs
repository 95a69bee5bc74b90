//! Admission of model names as label values. Clients choose the names and Envoy never expires a stat, so the set is
//! bounded: configured names are always admitted, any other by its first 2xx response, up to a limit per Envoy process.
//!
//! Workers agree through an append-only log in shared data: entry N holds the Nth admitted name and is written once, by
//! the first worker to create it. A worker that does not know a name reads the entries it has not read yet; usually that
//! is one read of an absent entry.

use std::collections::HashSet;

use crate::labels::ModelLabel;
use crate::shared::SharedData;

/// The admitted names as this worker knows them.
#[derive(Debug)]
pub(crate) struct Admission {
    configured: HashSet<ModelLabel>,
    admitted: HashSet<ModelLabel>,
    max_models: usize,
    /// Index of the first log entry that this worker has not read.
    next_entry: usize,
    /// The last name found: consecutive requests often name the same model.
    last: Option<(Vec<u8>, ModelLabel)>,
}

// === impl Admission ===

impl Admission {
    pub(crate) fn new(configured: &[String], max_models: usize) -> Self {
        Self {
            configured: configured.iter().map(|name| ModelLabel::new(name.as_bytes())).collect(),
            admitted: HashSet::new(),
            max_models,
            next_entry: 0,
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
            let known = self.find(name, shared);
            if known.is_some() || self.next_entry >= self.max_models {
                return known;
            }
            let label = ModelLabel::new(name);
            // If another worker created the entry first, the next iteration reads it and tries the one after it.
            if shared.create(&entry_key(self.next_entry), label.as_str().as_bytes()) {
                self.append(label.as_str().as_bytes());
            } else if shared.get(&entry_key(self.next_entry)).is_none() {
                return None;
            }
        }
    }

    /// Number of names that the process has admitted, without the configured ones.
    pub(crate) fn count(&mut self, shared: &mut impl SharedData) -> usize {
        self.read_log(shared);
        self.next_entry
    }

    fn find_uncached(&mut self, name: &[u8], shared: &mut impl SharedData) -> Option<ModelLabel> {
        let label = ModelLabel::new(name);
        self.known(&label).or_else(|| {
            self.read_log(shared);
            self.known(&label)
        })
    }

    fn known(&self, label: &ModelLabel) -> Option<ModelLabel> {
        self.admitted.get(label).or_else(|| self.configured.get(label)).cloned()
    }

    /// Reads the entries that other workers have appended.
    fn read_log(&mut self, shared: &mut impl SharedData) {
        while self.next_entry < self.max_models {
            let Some((name, _)) = shared.get(&entry_key(self.next_entry)) else {
                return;
            };
            self.append(&name);
        }
    }

    fn append(&mut self, encoded: &[u8]) {
        self.admitted
            .insert(ModelLabel::from_encoded(&String::from_utf8_lossy(encoded)));
        self.next_entry += 1;
    }
}

fn entry_key(entry: usize) -> String {
    format!("infertally.model.{entry}")
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
}
