//! [`Pools`], the pools that a syncer follows. Each fails alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::state::{Pool, Settings};
use crate::engine::ServerLoad;
use crate::exposition::Family;
use crate::scrape_status::Attempt;
use crate::target::{Discovered, MAX_TARGETS, PoolId, Target};

/// The state of all pools.
#[derive(Clone, Debug)]
pub struct Pools {
    labels: PoolLabels,
    settings: Settings,
    pools: BTreeMap<PoolId, Pool>,
}

/// The labels of a pool's series. They follow from the configuration, not from the pools that exist, so that no series
/// changes its labels when a pool appears.
#[derive(Clone, Debug)]
struct PoolLabels {
    /// Overrides the name of the only pool.
    name: Option<Arc<str>>,
    /// Whether the configuration covers two namespaces.
    namespace: bool,
}

// === impl Pools ===

impl Pools {
    /// The pools that are followed from the start, and the lists of all pools of a namespace. `name` is the label of the
    /// only pool.
    pub fn new(ids: Vec<PoolId>, name: Option<&str>, settings: Settings) -> Self {
        let namespaces: BTreeSet<_> = ids.iter().map(|id| &id.namespace).collect();
        let mut pools = Self {
            labels: PoolLabels {
                name: name.map(Arc::from),
                namespace: namespaces.len() > 1,
            },
            settings,
            pools: BTreeMap::new(),
        };
        for id in ids {
            let pool = pools.new_pool(&id);
            pools.pools.insert(id, pool);
        }
        pools
    }

    /// Applies an update of discovery.
    pub fn discovered(&mut self, id: &PoolId, update: Discovered, now: Instant) {
        if update == Discovered::Removed {
            self.pools.remove(id);
            return;
        }
        let update = self.within_limit(id, update);
        let new = self.new_pool(id);
        self.pools.entry(id.clone()).or_insert(new).discovered(update, now);
    }

    /// Records a scrape of a pool's target.
    pub fn scraped(&mut self, id: &PoolId, target: &Target, attempt: Attempt<ServerLoad>) {
        if let Some(pool) = self.pools.get_mut(id) {
            pool.scraped(target, attempt);
        }
    }

    /// A pool's targets; none if it is not followed.
    pub fn targets(&self, id: &PoolId) -> impl Iterator<Item = &Target> {
        self.pools.get(id).into_iter().flat_map(Pool::targets)
    }

    /// All families of all pools, without those that have no series.
    pub fn families(&self, now: Instant) -> Vec<Family> {
        let pools = self.pools.iter();
        merge(pools.map(|(id, pool)| match id.is_list() {
            false => pool.families(now),
            // How up to date the list is, is all that there is to it.
            true => vec![pool.discovery_age_family(now)],
        }))
    }

    /// The standard deviations that llm-d-router reports, of each pool.
    pub fn std_dev_families(&self, now: Instant) -> Vec<Family> {
        merge(self.pools.values().map(|pool| pool.std_dev_families(now)))
    }

    /// Whether every pool is ready. A pool whose discovery fails from the start does not hold up others that are ready.
    ///
    /// # Errors
    /// What is missing, as a sentence for `/readyz`.
    pub fn ready(&self) -> Result<(), String> {
        let (mut any_ready, mut first_failing) = (false, None);
        for (id, pool) in &self.pools {
            let about_pool = |why| match self.pools.len() {
                1 => why,
                _ => format!("pool {id}: {why}"),
            };
            match pool.ready() {
                Ok(()) => any_ready = true,
                Err(why) if pool.fails_from_the_start() => first_failing = first_failing.or(Some(about_pool(why))),
                Err(why) => return Err(about_pool(why)),
            }
        }
        match first_failing {
            Some(why) if !any_ready => Err(why),
            _ => Ok(()),
        }
    }

    fn new_pool(&self, id: &PoolId) -> Pool {
        let PoolLabels { name, namespace } = &self.labels;
        let pool = Pool::new(name.as_ref().unwrap_or(&id.name), self.settings);
        match namespace {
            true => pool.in_namespace(Arc::clone(&id.namespace)),
            false => pool,
        }
    }

    /// The limit of targets concerns all pools together. A pool that would exceed it keeps its last targets.
    fn within_limit(&self, id: &PoolId, update: Discovered) -> Discovered {
        let Discovered::Targets(targets) = &update else {
            return update;
        };
        let others = self.pools.iter().filter(|(other, _)| *other != id);
        let total = targets.len() + others.map(|(_, pool)| pool.targets().count()).sum::<usize>();
        if total <= MAX_TARGETS {
            return update;
        }
        Discovered::Failing {
            why: format!(
                "InferencePool {id}: its {} targets make {total} of all pools, the limit is {MAX_TARGETS}",
                targets.len()
            ),
        }
    }
}

/// Joins the series of each family. The families keep the order that they have in every list.
fn merge(lists: impl Iterator<Item = Vec<Family>>) -> Vec<Family> {
    let mut merged: Vec<Family> = Vec::new();
    for families in lists {
        let mut next = 0;
        for family in families {
            match merged.iter().position(|found| found.name == family.name) {
                Some(at) => {
                    if let Some(found) = merged.get_mut(at) {
                        found.series.extend(family.series);
                    }
                    next = at + 1;
                }
                None => {
                    merged.insert(next, family);
                    next += 1;
                }
            }
        }
    }
    merged
}
