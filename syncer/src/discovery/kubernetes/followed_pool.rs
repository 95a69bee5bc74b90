//! [`FollowedPool`], an InferencePool whose pods are watched, and what was sent of them.

use futures::future::OptionFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher;
use kube::{Api, Client};

use super::annotations::{InvalidAnnotations, MetricsEndpoint};
use super::pods::{Member, targets};
use super::pool_spec::{PoolSpec, Version};
use super::reflector::Reflector;
use super::role_labels::RoleLabels;
use super::status::{DiscoveryStatus, Publisher, Resolution};
use crate::target::{Discovered, MAX_TARGETS, PoolId};

/// The pods of a pool.
pub(super) struct FollowedPool {
    pub id: PoolId,
    pods: Option<(PoolSpec, Reflector<Pod, Member>)>,
    roles: RoleLabels,
    invalid_annotations: InvalidAnnotations,
    publisher: Publisher,
}

// === impl FollowedPool ===

impl FollowedPool {
    pub fn new(id: PoolId, roles: RoleLabels) -> Self {
        Self {
            id,
            pods: None,
            roles,
            invalid_annotations: InvalidAnnotations::default(),
            publisher: Publisher::default(),
        }
    }

    /// Waits until the pods change; `None` while they are not watched. Cancel safe.
    pub async fn changed(&mut self) -> Option<()> {
        OptionFuture::from(self.pods.as_mut().map(|(_, pods)| pods.changed())).await
    }

    pub fn completed_lists(&self) -> u64 {
        self.pods.as_ref().map_or(0, |(_, pods)| pods.completed_lists())
    }

    pub fn retry_now(&mut self) {
        self.pods.iter_mut().for_each(|(_, pods)| pods.retry_now());
    }

    /// Starts and stops the reflector of the pods according to what is known of the pool.
    pub fn reconcile(&mut self, client: &Client, resolution: &Resolution<'_>) {
        match resolution {
            // The pods of the last known pool are still the best guess.
            Resolution::Unknown(_) => {}
            Resolution::NotFound(_) => self.stop(),
            Resolution::Found(version, pool, _) => self.watch(client, *version, pool),
        }
    }

    /// The pool was deleted.
    pub fn stop(&mut self) {
        if self.pods.take().is_some() {
            let PoolId { namespace, name } = &self.id;
            tracing::info!(%namespace, %name, "the InferencePool was deleted, its pods are no longer scraped");
        }
    }

    fn watch(&mut self, client: &Client, version: Version, found: &PoolSpec) {
        if let Some((pool, _)) = &mut self.pods
            && pool.selector == found.selector
        {
            pool.clone_from(found);
            return;
        }
        let PoolId { namespace, name } = &self.id;
        let (labels, version) = (found.labels(), version.as_str());
        tracing::info!(%namespace, %name, version, selector = %labels, "watching the InferencePool's pods");
        let api = Api::namespaced(client.clone(), namespace);
        let config = watcher::Config::default().labels_from(&labels);
        let roles = self.roles.clone();
        let member = move |pod: &Pod| Member::new(pod, &roles);
        self.pods = Some((found.clone(), Reflector::new(api, config, member)));
    }

    /// The updates that the receiver lacks.
    pub fn updates(&mut self, resolution: &Resolution<'_>, endpoint: &MetricsEndpoint) -> Vec<Discovered> {
        self.log_invalid_annotations(endpoint);
        let status = self.status(resolution, endpoint);
        self.publisher.updates(status)
    }

    fn log_invalid_annotations(&mut self, endpoint: &MetricsEndpoint) {
        let pods = self.pods.as_ref().and_then(|(_, pods)| pods.objects());
        if endpoint.use_annotations {
            let pods = pods.into_iter().flatten();
            self.invalid_annotations
                .log(pods.map(|(name, pod)| (name, &pod.endpoint)));
        }
    }

    fn status(&self, resolution: &Resolution<'_>, endpoint: &MetricsEndpoint) -> DiscoveryStatus {
        let about_pool = |why| format!("InferencePool {}: {why}", self.id);
        match (resolution, &self.pods) {
            (Resolution::Unknown(error), _) => DiscoveryStatus {
                targets: None,
                error: error.clone().map(about_pool),
            },
            (Resolution::NotFound(error), _) => DiscoveryStatus {
                targets: Some(Vec::new()),
                error: Some(about_pool(error.clone())),
            },
            (Resolution::Found(_, _, error), Some((pool, pods))) => {
                let error = error.clone().or_else(|| Some(pods.error()?.about("pods")));
                match pods.objects().map(|pods| targets(pool, pods, endpoint)) {
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
                error: error.clone().map(about_pool),
            },
        }
    }
}
