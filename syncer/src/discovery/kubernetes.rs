//! Targets from Kubernetes: an InferencePool, in whichever version of its API the cluster serves, and the pods that its
//! selector matches. The only module of discovery that knows Kubernetes' types.
//!
//! ```text
//! Reflector of v1 pools ───────▶ Resolution: which pool ──▶ Reflector of its pods
//! Reflector of v1alpha2 pools ──▶    │                            │
//!                                    └─▶ DiscoveryStatus ◀────────┘ ──▶ Publisher ──▶ Discovered
//! ```
//! Through failures the last targets stay, and each failure is reported once.

mod annotations;
mod client;
mod error;
mod pods;
mod pool_ref;
mod pool_spec;
mod reflector;
mod role_labels;
mod status;

use std::time::Duration;

use futures::future::OptionFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::target::{Discovered, MAX_TARGETS};
use annotations::InvalidAnnotations;
pub use annotations::MetricsEndpoint;
pub use client::{ClientError, client, client_for};
use pods::{Member, targets};
pub use pool_ref::{PoolRef, PoolRefError};
use pool_spec::{InvalidPool, PoolSpec, Version};
use reflector::Reflector;
pub use role_labels::RoleLabels;
use status::{DiscoveryStatus, Publisher, Resolution, VersionStatus};

/// Changes within this time are sent together. The pods of a rollout change in bursts, and each update is the whole set.
const DEBOUNCE: Duration = Duration::from_millis(100);

type PoolReflector = Reflector<DynamicObject, Result<PoolSpec, InvalidPool>>;

/// The reflectors, and the pool whose pods are watched.
struct Discovery {
    client: Client,
    namespace: String,
    name: String,
    v1: PoolReflector,
    /// Only while `v1` does not have the pool.
    v1alpha2: Option<PoolReflector>,
    pods: Option<(PoolSpec, Reflector<Pod, Member>)>,
    endpoint: MetricsEndpoint,
    roles: RoleLabels,
    invalid_annotations: InvalidAnnotations,
}

/// Watches the pool and its pods and sends the targets whenever they change, until the receiver is dropped. A pool that
/// does not exist is an empty set and a failure.
pub async fn watch(
    client: Client,
    pool: PoolRef,
    endpoint: MetricsEndpoint,
    roles: RoleLabels,
    out: mpsc::Sender<Discovered>,
) {
    let mut discovery = Discovery::new(client, pool, endpoint, roles);
    let mut publisher = Publisher::default();
    let mut publish_at = None;
    loop {
        tokio::select! {
            () = out.closed() => return,
            () = discovery.changed() => {
                discovery.reconcile();
                publish_at.get_or_insert_with(|| Instant::now() + DEBOUNCE);
            }
            Some(()) = OptionFuture::from(publish_at.map(sleep_until)) => {
                publish_at = None;
                discovery.log_invalid_annotations();
                for update in publisher.updates(discovery.status()) {
                    if out.send(update).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

// === impl Discovery ===

impl Discovery {
    fn new(client: Client, pool: PoolRef, endpoint: MetricsEndpoint, roles: RoleLabels) -> Self {
        let namespace = pool.namespace.unwrap_or_else(|| client.default_namespace().to_owned());
        Self {
            v1: reflect_pool(&client, &namespace, &pool.name, Version::V1),
            v1alpha2: None,
            pods: None,
            endpoint,
            roles,
            invalid_annotations: InvalidAnnotations::default(),
            name: pool.name,
            namespace,
            client,
        }
    }

    /// Waits until a reflector changes. Cancel safe.
    async fn changed(&mut self) {
        let lists = self.completed_lists();
        tokio::select! {
            () = self.v1.changed() => {}
            Some(()) = OptionFuture::from(self.v1alpha2.as_mut().map(Reflector::changed)) => {}
            Some(()) = OptionFuture::from(self.pods.as_mut().map(|(_, pods)| pods.changed())) => {}
        }
        // The API server can be reached: no other reflector has to wait for its backoff.
        if self.completed_lists() > lists {
            self.v1.retry_now();
            self.v1alpha2.iter_mut().for_each(Reflector::retry_now);
            self.pods.iter_mut().for_each(|(_, pods)| pods.retry_now());
        }
    }

    fn completed_lists(&self) -> u64 {
        let v1alpha2 = self.v1alpha2.as_ref().map(Reflector::completed_lists);
        let pods = self.pods.as_ref().map(|(_, pods)| pods.completed_lists());
        self.v1.completed_lists() + v1alpha2.unwrap_or(0) + pods.unwrap_or(0)
    }

    /// Starts and stops reflectors according to what is known of the pool.
    fn reconcile(&mut self) {
        if !self.v1_status().defers_to_other() {
            self.v1alpha2 = None;
        } else if self.v1alpha2.is_none() {
            let reflector = reflect_pool(&self.client, &self.namespace, &self.name, Version::V1Alpha2);
            self.v1alpha2 = Some(reflector);
        }
        let found = match self.resolution() {
            // The pods of the last known pool are still the best guess.
            Resolution::Unknown(_) => return,
            Resolution::NotFound(_) => None,
            Resolution::Found(version, pool, _) => Some((version, pool.clone())),
        };
        self.reconcile_pods(found);
    }

    fn reconcile_pods(&mut self, found: Option<(Version, PoolSpec)>) {
        let Some((version, found)) = found else {
            if self.pods.take().is_some() {
                tracing::info!(
                    namespace = self.namespace,
                    name = self.name,
                    "the InferencePool was deleted, its pods are no longer scraped"
                );
            }
            return;
        };
        if let Some((pool, _)) = &mut self.pods {
            if *pool == found {
                return;
            }
            if pool.selector == found.selector {
                *pool = found;
                return;
            }
        }
        let labels = found.labels();
        let version = version.as_str();
        tracing::info!(namespace = self.namespace, name = self.name, version, selector = %labels, "watching the InferencePool's pods");
        let api = Api::namespaced(self.client.clone(), &self.namespace);
        let config = watcher::Config::default().labels_from(&labels);
        let roles = self.roles.clone();
        let member = move |pod: &Pod| Member::new(pod, &roles);
        self.pods = Some((found, Reflector::new(api, config, member)));
    }

    fn log_invalid_annotations(&mut self) {
        let pods = self.pods.as_ref().and_then(|(_, pods)| pods.objects());
        if self.endpoint.use_annotations {
            let pods = pods.into_iter().flatten();
            self.invalid_annotations
                .log(pods.map(|(name, pod)| (name, &pod.endpoint)));
        }
    }

    fn status(&self) -> DiscoveryStatus {
        let about_pool = |why| format!("InferencePool {}/{}: {why}", self.namespace, self.name);
        match (self.resolution(), &self.pods) {
            (Resolution::Unknown(error), _) => DiscoveryStatus {
                targets: None,
                error: error.map(about_pool),
            },
            (Resolution::NotFound(error), _) => DiscoveryStatus {
                targets: Some(Vec::new()),
                error: Some(about_pool(error)),
            },
            (Resolution::Found(_, _, error), Some((pool, pods))) => {
                let error = error.or_else(|| Some(pods.error()?.about("pods")));
                match pods.objects().map(|pods| targets(pool, pods, &self.endpoint)) {
                    Some(all) if all.len() > MAX_TARGETS => DiscoveryStatus {
                        targets: None,
                        error: Some(about_pool(format!("{} targets, the limit is {MAX_TARGETS}", all.len()))),
                    },
                    targets => DiscoveryStatus {
                        targets,
                        error: error.map(about_pool),
                    },
                }
            }
            // Not reached: `reconcile` has started the pods' reflector.
            (Resolution::Found(_, _, error), None) => DiscoveryStatus {
                targets: None,
                error: error.map(about_pool),
            },
        }
    }

    fn resolution(&self) -> Resolution<'_> {
        let v1alpha2 = self.v1alpha2.as_ref();
        let v1alpha2 = v1alpha2.map(|pools| self.version_status(pools, Version::V1Alpha2));
        Resolution::new(self.v1_status(), v1alpha2)
    }

    fn v1_status(&self) -> VersionStatus<'_> {
        self.version_status(&self.v1, Version::V1)
    }

    fn version_status<'a>(&self, pools: &'a PoolReflector, version: Version) -> VersionStatus<'a> {
        VersionStatus {
            version,
            pool: pools.objects().map(|pools| pools.get(&self.name)),
            error: pools.error(),
        }
    }
}

/// Selects the pool by name, so that a Role may be restricted to it by `resourceNames`.
fn reflect_pool(client: &Client, namespace: &str, name: &str, version: Version) -> PoolReflector {
    let api = Api::namespaced_with(client.clone(), namespace, &version.resource());
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let convert = match version {
        Version::V1 => PoolSpec::v1,
        Version::V1Alpha2 => PoolSpec::v1alpha2,
    };
    Reflector::new(api, config, convert)
}
