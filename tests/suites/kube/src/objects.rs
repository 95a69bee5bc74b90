//! What the tests put into a cluster: the official CRDs, pools, and pods whose status is made up, as no kubelet runs them.

use infertally_harness::eventually;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use serde_json::{Value, json};

use crate::{Cluster, Result};

/// Where all of it is.
pub const NAMESPACE: &str = "default";

/// A version of the InferencePool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolVersion {
    /// `inference.networking.k8s.io/v1`.
    V1,
    /// `inference.networking.x-k8s.io/v1alpha2`.
    V1Alpha2,
}

// === impl PoolVersion ===

impl PoolVersion {
    fn kind(self) -> GroupVersionKind {
        match self {
            Self::V1 => GroupVersionKind::gvk("inference.networking.k8s.io", "v1", "InferencePool"),
            Self::V1Alpha2 => GroupVersionKind::gvk("inference.networking.x-k8s.io", "v1alpha2", "InferencePool"),
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::V1 => "tests/suites/kube/crds/inferencepools-v1.yaml",
            Self::V1Alpha2 => "tests/suites/kube/crds/inferencepools-v1alpha2.yaml",
        }
    }

    fn spec(self, app: &str, ports: &[u16]) -> Value {
        match self {
            Self::V1 => json!({
                "selector": {"matchLabels": {"app": app}},
                "targetPorts": ports.iter().map(|port| json!({"number": port})).collect::<Vec<_>>(),
                "endpointPickerRef": {"name": "picker", "port": {"number": 9002}},
            }),
            Self::V1Alpha2 => json!({
                "selector": {"app": app},
                "targetPortNumber": ports.first(),
                "extensionRef": {"name": "picker"},
            }),
        }
    }
}

// === impl Cluster ===

impl Cluster {
    /// Installs the CRD of a version, and waits until it is served.
    ///
    /// # Errors
    /// If it never is.
    pub async fn install(&self, version: PoolVersion) -> Result<()> {
        self.apply_file(version.file()).await?;
        let pools = self.pools(version).await?;
        eventually(async || Ok(pools.list(&Default::default()).await.map(drop)?)).await
    }

    /// Makes a pool, or changes it.
    ///
    /// # Errors
    /// If the API server refuses it.
    pub async fn put_pool(&self, version: PoolVersion, name: &str, app: &str, ports: &[u16]) -> Result<()> {
        let object = json!({
            "apiVersion": version.kind().api_version(),
            "kind": "InferencePool",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": version.spec(app, ports),
        });
        self.apply_object(&object).await
    }

    /// Deletes a pool.
    ///
    /// # Errors
    /// If there is none.
    pub async fn delete_pool(&self, version: PoolVersion, name: &str) -> Result<()> {
        self.pools(version)
            .await?
            .delete(name, &DeleteParams::default())
            .await?;
        Ok(())
    }

    async fn pools(&self, version: PoolVersion) -> Result<Api<DynamicObject>> {
        let resource = ApiResource::from_gvk(&version.kind());
        Ok(Api::namespaced_with(self.client().await?, NAMESPACE, &resource))
    }

    /// Makes a service account.
    ///
    /// # Errors
    /// If the API server refuses it.
    pub async fn create_account(&self, name: &str) -> Result<()> {
        let metadata = json!({"name": name, "namespace": NAMESPACE});
        self.apply_object(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}))
            .await
    }

    /// Makes a pod that is bound to a node, as pods that run are. A namespace needs its service account for that.
    ///
    /// # Errors
    /// If the API server refuses it.
    pub async fn create_pod(&self, name: &str, app: &str) -> Result<()> {
        self.create_account("default").await?;
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": app}},
            "spec": {"nodeName": "node", "containers": [{"name": "vllm", "image": "vllm"}]},
        });
        self.apply_object(&pod).await
    }

    /// Says how it runs, as its kubelet would.
    ///
    /// # Errors
    /// If the API server refuses it.
    pub async fn set_status(&self, name: &str, address: &str, ready: bool) -> Result<()> {
        let ready = if ready { "True" } else { "False" };
        let status = json!({"status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": ready}],
        }});
        self.pods()
            .await?
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
            .await?;
        Ok(())
    }

    /// Makes a pod that runs and is ready.
    ///
    /// # Errors
    /// If the API server refuses it.
    pub async fn create_ready_pod(&self, name: &str, app: &str, address: &str) -> Result<()> {
        self.create_pod(name, app).await?;
        self.set_status(name, address, true).await
    }

    /// Deletes a pod: after that it terminates, until its kubelet says that it has.
    ///
    /// # Errors
    /// If there is none.
    pub async fn delete_pod(&self, name: &str) -> Result<()> {
        self.pods().await?.delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Its kubelet says that it has terminated.
    ///
    /// # Errors
    /// If there is none.
    pub async fn finish_pod(&self, name: &str) -> Result<()> {
        let now = DeleteParams::default().grace_period(0);
        self.pods().await?.delete(name, &now).await?;
        Ok(())
    }

    async fn pods(&self) -> Result<Api<Pod>> {
        Ok(Api::namespaced(self.client().await?, NAMESPACE))
    }
}
