//! The objects that tests create: the official CRDs, pools, service accounts, and pods, whose status the tests set, as there
//! is no kubelet.

use infertally_harness::eventually;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use serde_json::{Value, json};

use crate::{Cluster, Result};

/// The namespace of objects, unless a test names another one.
pub const NAMESPACE: &str = "default";

/// An API version of InferencePool.
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
    /// Installs the CRD of a version and waits until it is served.
    ///
    /// # Errors
    /// If it is not served in time.
    pub async fn install(&self, version: PoolVersion) -> Result<()> {
        self.apply_file(version.file()).await?;
        let pools = self.pools(NAMESPACE, version).await?;
        eventually(async || Ok(pools.list(&Default::default()).await.map(drop)?)).await
    }

    /// Creates or updates a pool.
    ///
    /// # Errors
    /// If the API server rejects it.
    pub async fn put_pool(&self, version: PoolVersion, name: &str, app: &str, ports: &[u16]) -> Result<()> {
        self.put_pool_in(NAMESPACE, version, name, app, ports).await
    }

    /// The same, in a namespace.
    ///
    /// # Errors
    /// If the API server rejects it.
    pub async fn put_pool_in(
        &self,
        namespace: &str,
        version: PoolVersion,
        name: &str,
        app: &str,
        ports: &[u16],
    ) -> Result<()> {
        let object = json!({
            "apiVersion": version.kind().api_version(),
            "kind": "InferencePool",
            "metadata": {"name": name, "namespace": namespace},
            "spec": version.spec(app, ports),
        });
        self.apply_object(&object).await
    }

    /// Deletes a pool.
    ///
    /// # Errors
    /// If it does not exist.
    pub async fn delete_pool(&self, version: PoolVersion, name: &str) -> Result<()> {
        self.delete_pool_in(NAMESPACE, version, name).await
    }

    /// The same, in a namespace.
    ///
    /// # Errors
    /// If it does not exist.
    pub async fn delete_pool_in(&self, namespace: &str, version: PoolVersion, name: &str) -> Result<()> {
        self.pools(namespace, version)
            .await?
            .delete(name, &DeleteParams::default())
            .await?;
        Ok(())
    }

    async fn pools(&self, namespace: &str, version: PoolVersion) -> Result<Api<DynamicObject>> {
        let resource = ApiResource::from_gvk(&version.kind());
        Ok(Api::namespaced_with(self.client().await?, namespace, &resource))
    }

    /// Creates a namespace with the service account that its pods need, as Kubernetes' controllers do.
    ///
    /// # Errors
    /// If the API server rejects it.
    pub async fn create_namespace(&self, name: &str) -> Result<()> {
        self.apply_object(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
            .await?;
        self.create_account_in(name, "default").await
    }

    /// Creates a service account.
    ///
    /// # Errors
    /// If the API server rejects it.
    pub async fn create_account(&self, name: &str) -> Result<()> {
        self.create_account_in(NAMESPACE, name).await
    }

    async fn create_account_in(&self, namespace: &str, name: &str) -> Result<()> {
        let metadata = json!({"name": name, "namespace": namespace});
        self.apply_object(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}))
            .await
    }

    /// Creates a pod that is bound to a node, and the service account that it needs.
    ///
    /// # Errors
    /// If the API server rejects it.
    pub async fn create_pod(&self, name: &str, app: &str) -> Result<()> {
        self.create_account("default").await?;
        self.create_pod_in(NAMESPACE, name, app).await
    }

    async fn create_pod_in(&self, namespace: &str, name: &str, app: &str) -> Result<()> {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}},
            "spec": {"nodeName": "node", "containers": [{"name": "vllm", "image": "vllm"}]},
        });
        self.apply_object(&pod).await
    }

    /// Sets the status of a pod, like its kubelet.
    ///
    /// # Errors
    /// If the API server rejects it.
    pub async fn set_status(&self, name: &str, address: &str, ready: bool) -> Result<()> {
        self.set_status_in(NAMESPACE, name, address, ready).await
    }

    async fn set_status_in(&self, namespace: &str, name: &str, address: &str, ready: bool) -> Result<()> {
        let ready = if ready { "True" } else { "False" };
        let status = json!({"status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": ready}],
        }});
        self.pods(namespace)
            .await?
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
            .await?;
        Ok(())
    }

    /// Sets annotations of a pod; `null` removes one.
    ///
    /// # Errors
    /// If the API server rejects it.
    pub async fn annotate_pod(&self, name: &str, annotations: Value) -> Result<()> {
        let patch = json!({"metadata": {"annotations": annotations}});
        self.pods(NAMESPACE)
            .await?
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
        Ok(())
    }

    /// Creates a pod that is running and ready.
    ///
    /// # Errors
    /// If the API server rejects it.
    pub async fn create_ready_pod(&self, name: &str, app: &str, address: &str) -> Result<()> {
        self.create_pod(name, app).await?;
        self.set_status(name, address, true).await
    }

    /// The same, in a namespace of [`Cluster::create_namespace`].
    ///
    /// # Errors
    /// If the API server rejects it.
    pub async fn create_ready_pod_in(&self, namespace: &str, name: &str, app: &str, address: &str) -> Result<()> {
        self.create_pod_in(namespace, name, app).await?;
        self.set_status_in(namespace, name, address, true).await
    }

    /// Deletes a pod, which is then terminating until [`Cluster::finish_pod`].
    ///
    /// # Errors
    /// If it does not exist.
    pub async fn delete_pod(&self, name: &str) -> Result<()> {
        self.pods(NAMESPACE)
            .await?
            .delete(name, &DeleteParams::default())
            .await?;
        Ok(())
    }

    /// Removes a terminating pod, like its kubelet.
    ///
    /// # Errors
    /// If it does not exist.
    pub async fn finish_pod(&self, name: &str) -> Result<()> {
        let now = DeleteParams::default().grace_period(0);
        self.pods(NAMESPACE).await?.delete(name, &now).await?;
        Ok(())
    }

    async fn pods(&self, namespace: &str) -> Result<Api<Pod>> {
        Ok(Api::namespaced(self.client().await?, namespace))
    }
}
