//! [`Pool`], the pods of the pool and what their scrapes returned.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::ServerLoad;
use crate::scrape_status::{Attempt, LastAttempt, Reason, ScrapeStatus};
use crate::target::{Discovered, Role, Target};

/// Roles of a pool that have averages of their own. Disaggregated serving has three or four (prefill, decode, encode and
/// their combinations); a label that holds something else must not create a series per pod and gauge.
const MAX_ROLES: usize = 16;
/// The role of pods whose own is over the limit.
const OTHER_ROLE: &str = "other";

/// What the gauges of a pool depend on beside its pods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// A load is fresh for this long from the end of its scrape.
    pub stale_after: Duration,
    /// Waiting requests of a pod at which its saturation is 1.
    pub queue_limit: f64,
}

/// The state of a pool.
#[derive(Clone, Debug)]
pub struct Pool {
    pub(super) name: Arc<str>,
    /// The label `namespace`, if the series have one.
    pub(super) namespace: Option<Arc<str>>,
    pub(super) settings: Settings,
    /// Sorted by name.
    pub(super) pods: Vec<Arc<Pod>>,
    /// Every role that a pod has had, so that ready pods fall to 0, in the order in which they were found.
    pub(super) roles: Vec<Arc<str>>,
    discovery: DiscoveryState,
}

/// The state of the source of targets.
#[derive(Clone, Debug, Default)]
struct DiscoveryState {
    /// Whether it has sent targets.
    synced: bool,
    /// Since when it has been failing, and why.
    failing: Option<(Instant, Arc<str>)>,
}

/// A pod and its scrapes.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) target: Target,
    /// The label `role`.
    pub(super) role: Option<Arc<str>>,
    pub(super) scrapes: ScrapeStatus<ServerLoad>,
}

/// The state of a pod: the label `state`. A closed set; each pod has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PodState {
    /// Ready, and its load is fresh.
    Ready,
    /// Not ready in Kubernetes, or not scraped yet.
    NotReady,
    /// Its load is stale: it responds, but without a page that can be read.
    Stale,
    /// Its load is stale: it does not respond.
    Unreachable,
}

// === impl Pool ===

impl Pool {
    /// A pool without pods.
    pub fn new(name: &str, settings: Settings) -> Self {
        Self {
            name: Arc::from(name),
            namespace: None,
            settings,
            pods: Vec::new(),
            roles: Vec::new(),
            discovery: DiscoveryState::default(),
        }
    }

    /// The pool with the label `namespace`.
    pub fn in_namespace(self, namespace: Arc<str>) -> Self {
        Self {
            namespace: Some(namespace),
            ..self
        }
    }

    /// Applies an update of discovery. Pods that stay keep their state, unless their address has changed.
    pub fn discovered(&mut self, discovered: Discovered, now: Instant) {
        let mut targets = match discovered {
            Discovered::Targets(targets) => targets,
            Discovered::Removed => Vec::new(),
            Discovered::Failing { why } => {
                let since = self.discovery.failing.as_ref().map_or(now, |(since, _)| *since);
                self.discovery.failing = Some((since, Arc::from(why)));
                return;
            }
        };
        self.discovery = DiscoveryState {
            synced: true,
            failing: None,
        };
        targets.sort_by(|a, b| a.name.cmp(&b.name));
        targets.dedup_by(|a, b| a.name == b.name);
        let mut pods = Vec::with_capacity(targets.len());
        for target in targets {
            let role = target.role.as_ref().map(|role| self.role_label(role));
            pods.push(match self.pod(&target.name) {
                Some(pod) if pod.target == target => Arc::clone(pod),
                Some(pod) => Arc::new(pod.with_target(target, role)),
                None => Arc::new(Pod::new(target, role)),
            });
        }
        self.pods = pods;
    }

    /// The label value of a role.
    fn role_label(&mut self, role: &Role) -> Arc<str> {
        let known = |roles: &[Arc<str>], label: &str| roles.iter().find(|known| &***known == label).cloned();
        if let Some(label) = known(&self.roles, role.label()) {
            return label;
        }
        // The last one is kept for `other`.
        let label = match self.roles.len() < MAX_ROLES - 1 {
            true => Arc::clone(role.label()),
            false => Arc::from(OTHER_ROLE),
        };
        known(&self.roles, &label).unwrap_or_else(|| {
            self.roles.push(Arc::clone(&label));
            label
        })
    }

    /// Records a scrape. Ignores one that began before the pod was removed or its address changed.
    pub fn scraped(&mut self, target: &Target, attempt: Attempt<ServerLoad>) {
        let Ok(index) = self.position(&target.name) else { return };
        if let Some(pod) = self.pods.get_mut(index).filter(|pod| pod.target.url == target.url) {
            Arc::make_mut(pod).scrapes.record(attempt);
        }
    }

    /// The targets, sorted by name.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.pods.iter().map(|pod| &pod.target)
    }

    /// Whether discovery has sent targets and each with an address has been scraped, successfully or not.
    ///
    /// # Errors
    /// What is missing, as a sentence for `/readyz`.
    pub fn ready(&self) -> Result<(), String> {
        match &self.discovery {
            DiscoveryState { synced: true, .. } => {}
            DiscoveryState {
                failing: Some((_, why)),
                ..
            } => return Err(format!("discovery of pods fails: {why}")),
            _ => return Err("discovery of pods has not completed".to_owned()),
        }
        let unscraped = self
            .pods
            .iter()
            .filter(|pod| pod.target.url.is_some() && pod.scrapes.last_attempt().is_none());
        match unscraped.count() {
            0 => Ok(()),
            count => Err(format!("{count} of {} pods have not been scraped yet", self.pods.len())),
        }
    }

    /// Whether discovery fails, and has never sent targets.
    pub(super) fn fails_from_the_start(&self) -> bool {
        !self.discovery.synced && self.discovery.failing.is_some()
    }

    /// How long discovery has been failing.
    pub(super) fn discovery_age(&self, now: Instant) -> Duration {
        let failing = self.discovery.failing.as_ref();
        failing.map_or(Duration::ZERO, |(since, _)| now.saturating_duration_since(*since))
    }

    fn pod(&self, name: &str) -> Option<&Arc<Pod>> {
        self.position(name).ok().and_then(|index| self.pods.get(index))
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.pods.binary_search_by(|pod| (*pod.target.name).cmp(name))
    }
}

// === impl Pod ===

impl Pod {
    fn new(target: Target, role: Option<Arc<str>>) -> Self {
        Self {
            target,
            role,
            scrapes: ScrapeStatus::default(),
        }
    }

    /// The pod with a changed target. At another address it is another server, so its scrapes are reset.
    fn with_target(&self, target: Target, role: Option<Arc<str>>) -> Self {
        let mut scrapes = self.scrapes.clone();
        if self.target.url != target.url {
            scrapes.reset();
        }
        Self { target, role, scrapes }
    }

    /// Whether it is ready in Kubernetes; for other sources, whether its load is fresh.
    pub(super) fn is_ready(&self, now: Instant, stale_after: Duration) -> bool {
        self.target
            .ready
            .unwrap_or_else(|| self.scrapes.fresh(now, stale_after).is_some())
    }

    pub(super) fn state(&self, now: Instant, stale_after: Duration) -> PodState {
        match (self.target.ready, self.scrapes.last_attempt()) {
            (Some(false), _) | (_, None) => PodState::NotReady,
            _ if self.scrapes.fresh(now, stale_after).is_some() => PodState::Ready,
            (
                _,
                Some(LastAttempt {
                    failure: Some(Reason::Connect | Reason::Tls | Reason::Timeout),
                    ..
                }),
            ) => PodState::Unreachable,
            _ => PodState::Stale,
        }
    }
}

// === impl PodState ===

impl PodState {
    pub(super) const ALL: [Self; 4] = [Self::Ready, Self::NotReady, Self::Stale, Self::Unreachable];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotReady => "not_ready",
            Self::Stale => "stale",
            Self::Unreachable => "unreachable",
        }
    }
}
