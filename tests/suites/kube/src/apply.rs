//! Applies YAML like `kubectl apply --server-side --validate=strict`: an unknown field is an error.

use infertally_harness::repository;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use serde_json::Value;

use crate::{Cluster, Result};

impl Cluster {
    /// Applies a file of the repository, as the administrator.
    ///
    /// # Errors
    /// If it cannot be read, or the API server rejects it.
    pub async fn apply_file(&self, path: &str) -> Result<()> {
        self.apply(&std::fs::read_to_string(repository(path))?).await
    }

    /// Applies every document, as the administrator.
    ///
    /// # Errors
    /// The error of the first document that the API server rejects.
    pub async fn apply(&self, yaml: &str) -> Result<()> {
        for document in serde_saphyr::from_multiple::<Value>(yaml)? {
            if !document.is_null() {
                self.apply_object(&document).await?;
            }
        }
        Ok(())
    }

    /// Applies an object, as the administrator.
    ///
    /// # Errors
    /// If the API server rejects it.
    pub async fn apply_object(&self, object: &Value) -> Result<()> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let (Some(version), Some(kind), Some(name)) = (text("/apiVersion"), text("/kind"), text("/metadata/name"))
        else {
            return Err(format!("no apiVersion, kind or name: {object}").into());
        };
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let client = self.client().await?;
        let (resource, capabilities) = pinned_kind(&client, &GroupVersionKind::gvk(group, version, kind)).await?;
        let api: Api<DynamicObject> = match capabilities.scope {
            Scope::Cluster => Api::all_with(client, &resource),
            Scope::Namespaced => {
                Api::namespaced_with(client, text("/metadata/namespace").unwrap_or("default"), &resource)
            }
        };
        let manager = PatchParams::apply("infertally-tests").force().validation_strict();
        let applied = api.patch(name, &manager, &Patch::Apply(object)).await;
        applied
            .map(drop)
            .map_err(|error| format!("{kind} {name}: {error}").into())
    }
}
