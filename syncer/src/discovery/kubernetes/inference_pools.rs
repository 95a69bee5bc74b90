//! [`InferencePools`], the InferencePools of a namespace, one of them or all, in both versions of their API.

use std::collections::BTreeSet;

use futures::future::OptionFuture;
use kube::core::DynamicObject;
use kube::runtime::watcher;
use kube::{Api, Client};

use super::error::ApiError;
use super::pool_ref::PoolSelection;
use super::pool_spec::{InvalidPool, PoolSpec, Version};
use super::reflector::Reflector;
use super::status::{DiscoveryStatus, Resolution, VersionStatus};

type PoolReflector = Reflector<DynamicObject, Result<PoolSpec, InvalidPool>>;

/// The reflectors of InferencePools.
pub(super) struct InferencePools {
    client: Client,
    namespace: String,
    selection: PoolSelection,
    v1: PoolReflector,
    /// For one pool only while `v1` does not have it.
    v1alpha2: Option<PoolReflector>,
}

// === impl InferencePools ===

impl InferencePools {
    pub fn new(client: &Client, namespace: &str, selection: PoolSelection) -> Self {
        Self {
            v1: reflect(client, namespace, &selection, Version::V1),
            v1alpha2: None,
            client: client.clone(),
            namespace: namespace.to_owned(),
            selection,
        }
    }

    /// Waits until a reflector changes. Cancel safe.
    pub async fn changed(&mut self) {
        tokio::select! {
            () = self.v1.changed() => {}
            Some(()) = OptionFuture::from(self.v1alpha2.as_mut().map(Reflector::changed)) => {}
        }
    }

    pub fn completed_lists(&self) -> u64 {
        let v1alpha2 = self.v1alpha2.as_ref().map(Reflector::completed_lists);
        self.v1.completed_lists() + v1alpha2.unwrap_or(0)
    }

    pub fn retry_now(&mut self) {
        self.v1.retry_now();
        self.v1alpha2.iter_mut().for_each(Reflector::retry_now);
    }

    /// Starts and stops the reflector of `v1alpha2`.
    pub fn reconcile(&mut self) {
        let is_needed = match &self.selection {
            PoolSelection::Named(name) => self.v1_status(name).defers_to_other(),
            PoolSelection::All => true,
        };
        if !is_needed {
            self.v1alpha2 = None;
        } else if self.v1alpha2.is_none() {
            let reflector = reflect(&self.client, &self.namespace, &self.selection, Version::V1Alpha2);
            self.v1alpha2 = Some(reflector);
        }
    }

    /// The names of the pools, as last seen: the configured name, or those of all pools.
    pub fn names(&self) -> BTreeSet<&str> {
        match &self.selection {
            PoolSelection::Named(name) => [name.as_str()].into(),
            PoolSelection::All => {
                let versions = [Some(&self.v1), self.v1alpha2.as_ref()].into_iter().flatten();
                let objects = versions.filter_map(Reflector::objects);
                objects.flat_map(|pools| pools.keys().map(String::as_str)).collect()
            }
        }
    }

    /// Which version's pool of this name applies.
    pub fn resolution(&self, name: &str) -> Resolution<'_> {
        let v1alpha2 = self.v1alpha2.as_ref();
        Resolution::new(
            self.v1_status(name),
            v1alpha2.map(|pools| version_status(pools, Version::V1Alpha2, name)),
        )
    }

    /// Whether all pools are known, as the status of a source without targets; `None` for one pool.
    pub fn list_status(&self) -> Option<DiscoveryStatus> {
        if self.selection != PoolSelection::All {
            return None;
        }
        let versions = [
            (Version::V1, Some(&self.v1)),
            (Version::V1Alpha2, self.v1alpha2.as_ref()),
        ];
        let versions = versions
            .into_iter()
            .filter_map(|(version, pools)| Some((version, pools?)));
        let is_known = versions.clone().any(|(_, pools)| pools.objects().is_some());
        let errors: Vec<_> = versions
            .filter_map(|(version, pools)| Some((pools.error()?, version)))
            .collect();
        // Few clusters serve both versions, and the API server forbids what it does not serve. One of them is enough.
        let is_absent = |error: &ApiError| matches!(error, ApiError::NotServed | ApiError::Forbidden(_));
        let all_absent = errors.len() == 2;
        let relevant = errors.iter().filter(|(error, _)| all_absent || !is_absent(error));
        let relevant: Vec<_> = relevant.map(|(error, version)| error.about(version.as_str())).collect();
        Some(DiscoveryStatus {
            targets: is_known.then(Vec::new),
            error: (!relevant.is_empty()).then(|| relevant.join("; ")),
        })
    }

    fn v1_status(&self, name: &str) -> VersionStatus<'_> {
        version_status(&self.v1, Version::V1, name)
    }
}

fn version_status<'a>(pools: &'a PoolReflector, version: Version, name: &str) -> VersionStatus<'a> {
    VersionStatus {
        version,
        pool: pools.objects().map(|pools| pools.get(name)),
        error: pools.error(),
    }
}

/// Selects one pool by name, so that a Role may be restricted to it by `resourceNames`.
fn reflect(client: &Client, namespace: &str, selection: &PoolSelection, version: Version) -> PoolReflector {
    let api = Api::namespaced_with(client.clone(), namespace, &version.resource());
    let config = match selection {
        PoolSelection::Named(name) => watcher::Config::default().fields(&format!("metadata.name={name}")),
        PoolSelection::All => watcher::Config::default(),
    };
    let convert = match version {
        Version::V1 => PoolSpec::v1,
        Version::V1Alpha2 => PoolSpec::v1alpha2,
    };
    Reflector::new(api, config, convert)
}
