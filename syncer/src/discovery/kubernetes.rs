//! Targets from Kubernetes: an InferencePool or all of a namespace, in whichever version of its API the cluster serves, and
//! the pods that each one's selector matches. The only module of discovery that knows Kubernetes' types.
//!
//! ```text
//! InferencePools                          one FollowedPool per pool
//!  ├ Reflector of v1 pools ───────┐       ┌──────────────────────────────────────────────┐
//!  └ Reflector of v1alpha2 pools ─┴──────▶│ Resolution: which version ▶ Reflector of pods │
//!                                         │ DiscoveryStatus ▶ Publisher ▶ Discovered      │
//!                                         └──────────────────────────────────────────────┘
//! ```
//! Through failures the last targets stay, and each failure is reported once. Pools do not wait for each other. `service`
//! does the same for the endpoints of a Service.

mod annotations;
mod client;
mod endpoints;
mod error;
mod followed_pool;
mod inference_pools;
mod pods;
mod pool_ref;
mod pool_spec;
mod reflector;
mod role_labels;
mod service;
mod service_ref;
mod status;

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, OptionFuture};
use futures::stream::{FuturesUnordered, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::target::{Discovered, PoolId, Target};
pub use annotations::MetricsEndpoint;
pub use client::{ClientError, client, client_for};
use followed_pool::FollowedPool;
use inference_pools::InferencePools;
use pods::Member;
pub use pool_ref::{PoolRef, PoolRefError, PoolSelection};
use pool_spec::PoolSpec;
pub use role_labels::RoleLabels;
pub use service::watch_service;
pub use service_ref::{ServicePort, ServiceRef, ServiceRefError};
use status::Publisher;

/// Changes within this time are sent together. The pods of a rollout change in bursts, and each update is the whole set.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// InferencePools of one namespace that are followed; each takes a connection to the API server. Far more than have a GPU to
/// run on, and few enough for both a syncer and an API server.
pub const MAX_POOLS: usize = 100;

/// The pools of one [`PoolRef`].
struct Discovery {
    client: Client,
    list: PoolId,
    pools: InferencePools,
    /// By name.
    followed: BTreeMap<String, FollowedPool>,
    publisher: Publisher,
    endpoint: MetricsEndpoint,
    roles: RoleLabels,
}

/// Watches the pool, or all pools of a namespace, and their pods, and sends each pool's targets whenever they change, until
/// the receiver is dropped. A named pool that does not exist is an empty set and a failure. For all pools of a namespace,
/// the state of their list is sent as [`PoolId::ALL`], and a pool that no longer exists as [`Discovered::Removed`].
pub async fn watch(
    client: Client,
    pool: PoolRef,
    endpoint: MetricsEndpoint,
    roles: RoleLabels,
    out: mpsc::Sender<(PoolId, Discovered)>,
) {
    let mut discovery = Discovery::new(client, pool, endpoint, roles);
    let mut publish_at = None;
    loop {
        tokio::select! {
            () = out.closed() => return,
            () = discovery.changed() => {
                discovery.pools.reconcile();
                publish_at.get_or_insert_with(|| Instant::now() + DEBOUNCE);
                for removed in discovery.reconcile() {
                    if out.send((removed, Discovered::Removed)).await.is_err() {
                        return;
                    }
                }
            }
            Some(()) = OptionFuture::from(publish_at.map(sleep_until)) => {
                publish_at = None;
                for update in discovery.updates() {
                    if out.send(update).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// The targets of these pods of a pool with these target ports, as [`watch`] sends them. A pod without a name is none.
pub fn pod_targets(
    pods: &[Pod],
    target_ports: Vec<NonZeroU16>,
    endpoint: &MetricsEndpoint,
    roles: &RoleLabels,
) -> Vec<Target> {
    let pool = PoolSpec {
        selector: BTreeMap::new(),
        ports: target_ports,
    };
    let members = pods.iter().filter_map(|pod| {
        let name = pod.metadata.name.clone()?;
        Some((name, Member::new(pod, roles)))
    });
    pods::targets(&pool, &members.collect(), endpoint)
}

// === impl Discovery ===

impl Discovery {
    fn new(client: Client, pool: PoolRef, endpoint: MetricsEndpoint, roles: RoleLabels) -> Self {
        let list = PoolId::new(&pool.id(client.default_namespace()).namespace, PoolId::ALL);
        Self {
            pools: InferencePools::new(&client, &list.namespace, pool.pools),
            followed: BTreeMap::new(),
            publisher: Publisher::default(),
            client,
            list,
            endpoint,
            roles,
        }
    }

    /// Waits until a reflector changes. Cancel safe.
    async fn changed(&mut self) {
        let lists = self.completed_lists();
        {
            let pods = self.followed.values_mut().map(|pool| pool.changed().boxed());
            let mut pods: FuturesUnordered<BoxFuture<'_, Option<()>>> = pods.collect();
            let mut any_pod = pods.by_ref().filter_map(std::future::ready);
            tokio::select! {
                () = self.pools.changed() => {}
                Some(()) = any_pod.next() => {}
            }
        }
        // The API server can be reached: no other reflector has to wait for its backoff.
        if self.completed_lists() > lists {
            self.pools.retry_now();
            self.followed.values_mut().for_each(FollowedPool::retry_now);
        }
    }

    fn completed_lists(&self) -> u64 {
        let pods = self.followed.values().map(FollowedPool::completed_lists);
        self.pools.completed_lists() + pods.sum::<u64>()
    }

    /// Starts and stops reflectors according to what is known of the pools. Returns those that no longer exist.
    fn reconcile(&mut self) -> Vec<PoolId> {
        let names = self.pools.names();
        let gone = self.followed.extract_if(.., |name, _| !names.contains(name.as_str()));
        let removed = gone.map(|(_, mut pool)| {
            pool.stop();
            pool.id
        });
        let removed = removed.collect();
        // Pools that are followed stay, and of the others the first by name: two replicas that start follow the same.
        for name in names {
            if !self.followed.contains_key(name) && self.followed.len() < MAX_POOLS {
                let pool = FollowedPool::new(PoolId::new(&self.list.namespace, name), self.roles.clone());
                self.followed.insert(name.to_owned(), pool);
            }
        }
        for (name, pool) in &mut self.followed {
            pool.reconcile(&self.client, &self.pools.resolution(name));
        }
        removed
    }

    /// What the receiver lacks.
    fn updates(&mut self) -> Vec<(PoolId, Discovered)> {
        let mut updates = Vec::new();
        if let Some(mut status) = self.pools.list_status() {
            let count = self.pools.names().len();
            if count > MAX_POOLS {
                let over = format!("{count} InferencePools, the limit is {MAX_POOLS}; the others are not followed");
                status.error.get_or_insert(over);
            }
            let about_list = |why| format!("InferencePools of namespace {}: {why}", self.list.namespace);
            status.error = status.error.map(about_list);
            let list = self.publisher.updates(status).into_iter();
            updates.extend(list.map(|update| (self.list.clone(), update)));
        }
        for (name, pool) in &mut self.followed {
            let of_pool = pool.updates(&self.pools.resolution(name), &self.endpoint);
            updates.extend(of_pool.into_iter().map(|update| (pool.id.clone(), update)));
        }
        updates
    }
}
