//! Where the adapters of one server were loaded from.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::config::{AdapterSpec, Config};
use super::super::observed::Models;

/// The `root` of adapters whose weights came over the wire (SGLang: `__tensor__`, `__distributed__`) begins so.
const NO_SOURCE: &str = "__";

/// By adapter id.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    /// Our own loads, while the server still holds them.
    loads: HashMap<Arc<str>, OwnLoad>,
    /// What desired adapters were last loaded from, while the file desires them: kept when the server loses them.
    known: HashMap<Arc<str>, AdapterSpec>,
}

#[derive(Clone, Debug)]
struct OwnLoad {
    spec: AdapterSpec,
    root: Root,
}

/// The `root` of an adapter in the first list after our load. It may differ from the source, as for a repository's name
/// that a server resolves to a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Root {
    NotListedYet,
    Listed(Option<Arc<str>>),
}

// === impl Sources ===

impl Sources {
    /// Compares the list with our own loads and forgets those that it refutes: the adapter is gone, or has another `root`.
    /// Returns whether there was one, as after a restart that no poll has noticed.
    pub fn listed(&mut self, config: &Config, models: &Models) -> bool {
        let before = self.loads.len();
        self.loads.retain(|id, load| {
            let Some(root) = models.adapters.get(id) else {
                return false;
            };
            match &load.root {
                Root::NotListedYet => {
                    load.root = Root::Listed(root.clone());
                    true
                }
                Root::Listed(seen) => seen == root,
            }
        });
        for spec in &config.desired {
            if let Some(source) = self.held(spec, models) {
                self.known.insert(Arc::clone(&spec.id), source);
            }
        }
        self.loads.len() < before
    }

    /// The server could not be polled. Without a `root`, nothing will show whether it has restarted.
    pub fn outage(&mut self) {
        self.loads.retain(|_, load| matches!(load.root, Root::Listed(Some(_))));
    }

    pub fn loaded(&mut self, spec: &AdapterSpec) {
        let load = OwnLoad {
            spec: spec.clone(),
            root: Root::NotListedYet,
        };
        self.loads.insert(Arc::clone(&spec.id), load);
    }

    pub fn unloaded(&mut self, id: &str) {
        self.loads.remove(id);
    }

    /// Another load or an unload is in flight, or has failed and may have taken effect all the same, as when only its
    /// response was lost. The `root` shows it, if there is one.
    pub fn load_may_change(&mut self, id: &str) {
        if self
            .loads
            .get(id)
            .is_some_and(|load| !matches!(load.root, Root::Listed(Some(_))))
        {
            self.loads.remove(id);
        }
    }

    pub fn is_current(&self, spec: &AdapterSpec, models: &Models) -> bool {
        match self.loads.get(&spec.id) {
            Some(load) => load.spec.source == spec.source,
            None => models.adapters.get(&spec.id).and_then(Option::as_ref) == Some(&spec.source),
        }
    }

    pub fn known(&self, id: &str) -> Option<&AdapterSpec> {
        self.known.get(id)
    }

    pub fn retain_known(&mut self, desired: &HashSet<&str>) {
        self.known.retain(|id, _| desired.contains(&**id));
    }

    /// What a listed adapter can be loaded from again.
    fn held(&self, spec: &AdapterSpec, models: &Models) -> Option<AdapterSpec> {
        if let Some(load) = self.loads.get(&spec.id) {
            return Some(load.spec.clone());
        }
        let root = models.adapters.get(&spec.id)?.as_ref()?;
        (!root.starts_with(NO_SOURCE)).then(|| AdapterSpec {
            source: Arc::clone(root),
            ..spec.clone()
        })
    }
}
