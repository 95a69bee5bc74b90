//! Which model names become label values. Clients choose the names and Envoy never forgets a series, so: configured
//! names are always admitted, others by their first good answer, up to a cap for the whole process.
//!
//! The workers agree through a log in the shared map: slot N holds the name that was admitted as Nth, and a slot is
//! written once, by whoever comes first. A worker that looks for a name reads the slots that it has not yet seen;
//! mostly that is one look at an empty slot.

use std::collections::HashSet;

use crate::labels::ModelLabel;
use crate::shared::SharedData;

/// The admitted names as one worker knows them.
#[derive(Debug)]
pub struct Admission {
    configured: HashSet<ModelLabel>,
    admitted: HashSet<ModelLabel>,
    max_models: usize,
    /// The first slot of the log that this worker has not read.
    next_slot: usize,
    /// The name that was found last: mostly the one that is asked for next.
    last: Option<(Vec<u8>, ModelLabel)>,
}

// === impl Admission ===

impl Admission {
    /// Nobody but these names is admitted yet, as far as this worker knows.
    pub fn new(configured: &[String], max_models: usize) -> Self {
        Self {
            configured: configured.iter().map(|name| ModelLabel::new(name.as_bytes())).collect(),
            admitted: HashSet::new(),
            max_models,
            next_slot: 0,
            last: None,
        }
    }

    /// The label of a name that is admitted by now.
    pub fn find(&mut self, name: &[u8], shared: &mut impl SharedData) -> Option<ModelLabel> {
        if let Some((last, label)) = &self.last
            && last == name
        {
            return Some(label.clone());
        }
        let found = self.look_up(name, shared);
        if let Some(label) = &found {
            self.last = Some((name.to_vec(), label.clone()));
        }
        found
    }

    fn look_up(&mut self, name: &[u8], shared: &mut impl SharedData) -> Option<ModelLabel> {
        let label = ModelLabel::new(name);
        self.known(&label).or_else(|| {
            self.catch_up(shared);
            self.known(&label)
        })
    }

    /// How many names the process has admitted, beside those that are configured.
    pub fn count(&mut self, shared: &mut impl SharedData) -> usize {
        self.catch_up(shared);
        self.next_slot
    }

    fn catch_up(&mut self, shared: &mut impl SharedData) {
        while self.next_slot < self.max_models {
            let Some((name, _)) = shared.get(&slot_key(self.next_slot)) else {
                return;
            };
            self.learn(&name);
        }
    }

    /// The label of a name that a good answer speaks for: admitted now unless the cap is reached.
    pub fn admit(&mut self, name: &[u8], shared: &mut impl SharedData) -> Option<ModelLabel> {
        loop {
            let known = self.find(name, shared);
            if known.is_some() || self.next_slot >= self.max_models {
                return known;
            }
            let label = ModelLabel::new(name);
            // Another worker may have taken the slot in between; then its name is read in the next turn.
            if shared.create(&slot_key(self.next_slot), label.as_str().as_bytes()) {
                self.learn(label.as_str().as_bytes());
            } else if shared.get(&slot_key(self.next_slot)).is_none() {
                return None;
            }
        }
    }

    fn known(&self, label: &ModelLabel) -> Option<ModelLabel> {
        self.admitted.get(label).or_else(|| self.configured.get(label)).cloned()
    }

    fn learn(&mut self, encoded: &[u8]) {
        self.admitted
            .insert(ModelLabel::from_encoded(&String::from_utf8_lossy(encoded)));
        self.next_slot += 1;
    }
}

fn slot_key(slot: usize) -> String {
    format!("infertally.model.{slot}")
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
    fn a_configured_name_is_admitted_at_once_and_takes_no_place() {
        let mut host = FakeHost::default();
        let mut admission = Admission::new(&["base".to_owned()], 1);
        assert_eq!(name(admission.find(b"base", &mut host)).as_deref(), Some("base"));
        assert_eq!(name(admission.admit(b"a", &mut host)).as_deref(), Some("a"));
        assert_eq!(name(admission.admit(b"b", &mut host)), None);
        assert_eq!(name(admission.find(b"a", &mut host)).as_deref(), Some("a"));
    }

    #[test]
    fn another_name_needs_a_good_answer_first() {
        let mut host = FakeHost::default();
        let mut admission = Admission::new(&[], 10);
        assert_eq!(admission.find(b"a", &mut host), None);
        assert!(admission.admit(b"a", &mut host).is_some());
        assert!(admission.find(b"a", &mut host).is_some());
    }

    #[test]
    fn all_workers_admit_the_same_names_and_never_more_than_the_cap() {
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
        // A worker whose VM was replaced finds them all again.
        assert_eq!(admitted(&mut Admission::new(&[], 7), &mut host), first);
    }

    #[test]
    fn a_slot_lost_to_another_worker_costs_no_name() {
        let mut host = FakeHost::default();
        let mut slow = Admission::new(&[], 10);
        // The other worker takes the slot between this one's look and its own try.
        host.create_first("infertally.model.0", b"theirs");
        assert_eq!(name(slow.admit(b"ours", &mut host)).as_deref(), Some("ours"));
        assert!(slow.find(b"theirs", &mut host).is_some());
    }

    #[test]
    fn a_cap_of_none_admits_only_what_is_configured() {
        let mut host = FakeHost::default();
        let mut admission = Admission::new(&[], 0);
        assert_eq!(admission.admit(b"a", &mut host), None);
    }
}
