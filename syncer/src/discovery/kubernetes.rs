//! The pool's servers from Kubernetes: an InferencePool, in whichever version of its API the cluster serves, and the pods
//! that its selector matches. The only module that knows Kubernetes' objects.
//!
//! ```text
//! Mirror of v1 ──────▶ Verdict: which pool ──▶ Mirror of its pods
//! Mirror of v1alpha2 ──▶    │                        │
//!                           └──────▶ View ◀──────────┘ ──▶ Told: what is new of it ──▶ Discovered
//! ```
//! Whatever fails, the targets that were last known stay, and the receiver is told why once.

mod client;
mod failure;
mod mirror;
mod pods;
mod pool;
mod pool_ref;
mod view;

use std::time::Duration;

use futures::future::OptionFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::{Discovered, MAX_TARGETS};
pub use client::{ClientError, client, client_for};
use mirror::Mirror;
use pods::{Member, targets};
use pool::{Pool, Unusable, Version};
pub use pool_ref::{PoolRef, PoolRefError};
use view::{Seen, Told, Verdict, View};

/// What comes together is told together: the pods of a rollout change in bursts, and each time the whole set is told.
const SETTLE: Duration = Duration::from_millis(100);

type Pools = Mirror<DynamicObject, Result<Pool, Unusable>>;

/// The mirrors, and for which pool the pods' one is.
struct Discovery {
    client: Client,
    namespace: String,
    name: String,
    v1: Pools,
    /// Only while `v1` has no such pool.
    v1alpha2: Option<Pools>,
    pods: Option<(Pool, Mirror<Pod, Member>)>,
}

/// Watches the pool and its pods, and says the whole set of targets whenever it changes, until the receiver is gone. A
/// pool that there is not is an empty set and a failure.
pub async fn watch(client: Client, pool: PoolRef, out: mpsc::Sender<Discovered>) {
    let mut discovery = Discovery::new(client, pool);
    let mut told = Told::default();
    let mut tell_at = None;
    loop {
        tokio::select! {
            () = out.closed() => return,
            () = discovery.changed() => {
                discovery.follow();
                tell_at.get_or_insert_with(|| Instant::now() + SETTLE);
            }
            Some(()) = OptionFuture::from(tell_at.map(sleep_until)) => {
                tell_at = None;
                for news in told.news(discovery.view()) {
                    if out.send(news).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

// === impl Discovery ===

impl Discovery {
    fn new(client: Client, pool: PoolRef) -> Self {
        let namespace = pool.namespace.unwrap_or_else(|| client.default_namespace().to_owned());
        Self {
            v1: pools(&client, &namespace, &pool.name, Version::V1),
            v1alpha2: None,
            pods: None,
            name: pool.name,
            namespace,
            client,
        }
    }

    /// Waits until a mirror changed. May be dropped while it waits.
    async fn changed(&mut self) {
        let lists = self.lists();
        tokio::select! {
            () = self.v1.changed() => {}
            Some(()) = OptionFuture::from(self.v1alpha2.as_mut().map(Mirror::changed)) => {}
            Some(()) = OptionFuture::from(self.pods.as_mut().map(|(_, pods)| pods.changed())) => {}
        }
        if self.lists() > lists {
            self.v1.hurry();
            self.v1alpha2.iter_mut().for_each(Mirror::hurry);
            self.pods.iter_mut().for_each(|(_, pods)| pods.hurry());
        }
    }

    fn lists(&self) -> u64 {
        let pods = self.pods.as_ref().map(|(_, pods)| pods.lists());
        self.v1.lists() + self.v1alpha2.as_ref().map_or(0, Mirror::lists) + pods.unwrap_or(0)
    }

    /// Watches what the pool now makes worth watching, and nothing else.
    fn follow(&mut self) {
        if !self.seen_v1().leaves_it_to_another() {
            self.v1alpha2 = None;
        } else if self.v1alpha2.is_none() {
            self.v1alpha2 = Some(pools(&self.client, &self.namespace, &self.name, Version::V1Alpha2));
        }
        let wanted = match self.verdict() {
            // The pods of the pool that was last known are still the best guess.
            Verdict::Open(_) => return,
            Verdict::Unknown(_) => None,
            Verdict::Pool(version, pool, _) => Some((version, pool.clone())),
        };
        self.follow_pods(wanted);
    }

    fn follow_pods(&mut self, wanted: Option<(Version, Pool)>) {
        let Some((version, wanted)) = wanted else {
            if self.pods.take().is_some() {
                tracing::info!(
                    namespace = self.namespace,
                    name = self.name,
                    "the InferencePool is gone"
                );
            }
            return;
        };
        if let Some((pool, _)) = &mut self.pods {
            if *pool == wanted {
                return;
            }
            if pool.selector == wanted.selector {
                *pool = wanted;
                return;
            }
        }
        let labels = wanted.labels();
        let version = version.as_str();
        tracing::info!(namespace = self.namespace, name = self.name, version, %labels, "following the InferencePool's pods");
        let api = Api::namespaced(self.client.clone(), &self.namespace);
        let config = watcher::Config::default().labels_from(&labels);
        let read = |pod: &Pod| Member::from(pod);
        self.pods = Some((wanted, Mirror::new(api, config, read)));
    }

    fn view(&self) -> View {
        let subject = |why| format!("InferencePool {}/{}: {why}", self.namespace, self.name);
        match (self.verdict(), &self.pods) {
            (Verdict::Open(why), _) => View {
                targets: None,
                why: why.map(subject),
            },
            (Verdict::Unknown(why), _) => View {
                targets: Some(Vec::new()),
                why: Some(subject(why)),
            },
            (Verdict::Pool(_, _, why), Some((pool, pods))) => {
                let why = why.or_else(|| Some(pods.failure()?.about("pods")));
                match pods.objects().map(|pods| targets(pool, pods)) {
                    Some(all) if all.len() > MAX_TARGETS => View {
                        targets: None,
                        why: Some(subject(format!("{} targets, {MAX_TARGETS} is the most", all.len()))),
                    },
                    targets => View {
                        targets,
                        why: why.map(subject),
                    },
                }
            }
            // `follow` has started it.
            (Verdict::Pool(_, _, why), None) => View {
                targets: None,
                why: why.map(subject),
            },
        }
    }

    fn verdict(&self) -> Verdict<'_> {
        let v1alpha2 = self.v1alpha2.as_ref().map(|pools| self.seen(pools, Version::V1Alpha2));
        Verdict::of(self.seen_v1(), v1alpha2)
    }

    fn seen_v1(&self) -> Seen<'_> {
        self.seen(&self.v1, Version::V1)
    }

    fn seen<'a>(&self, pools: &'a Pools, version: Version) -> Seen<'a> {
        Seen {
            version,
            pool: pools.objects().map(|pools| pools.get(&self.name)),
            failure: pools.failure(),
        }
    }
}

/// Only the one of that name, so that a role may be limited to it.
fn pools(client: &Client, namespace: &str, name: &str, version: Version) -> Pools {
    let api = Api::namespaced_with(client.clone(), namespace, &version.resource());
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let read = match version {
        Version::V1 => Pool::v1,
        Version::V1Alpha2 => Pool::v1alpha2,
    };
    Mirror::new(api, config, read)
}
