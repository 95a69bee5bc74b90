//! Applies every manifest, and every object in the documents, to a real API server with the real CRDs: it knows every field,
//! and its Pod Security admission accepts the pods at the level *restricted*.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed helper fails the test"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use infertally_harness::{eventually, repository};
use infertally_kube::objects::PoolVersion::{V1, V1Alpha2};
use infertally_kube::{Cluster, Result};
use infertally_manifests::yaml::{self, text};
use infertally_manifests::{blocks, kustomize, pods};
use serde_json::{Value, json};

/// Creates a namespace with the level *restricted*, which is enforced for pods; workloads only get a warning.
async fn namespace(cluster: &Cluster, name: &str) -> Result<()> {
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    cluster.apply_object(&namespace).await?;
    // Kubernetes' controller would create it.
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}});
    cluster.apply_object(&account).await
}

/// Starts a cluster with all CRDs that the manifests use.
async fn cluster() -> Result<Cluster> {
    let cluster = Cluster::start().await?;
    cluster.install(V1).await?;
    cluster.install(V1Alpha2).await?;
    let folder = std::env::var_os("CRDS").ok_or("CRDS is not set: run these tests with `make test-kube`")?;
    for file in yaml::files(&PathBuf::from(folder), ".yaml")? {
        for object in yaml::documents(&std::fs::read_to_string(&file)?)? {
            if object["kind"] == "CustomResourceDefinition" {
                cluster.apply_object(&object).await?;
            }
        }
    }
    Ok(cluster)
}

/// Whether a document is an object of the API; a Kustomization is not.
fn is_object(document: &Value) -> bool {
    ["/apiVersion", "/kind", "/metadata/name"]
        .iter()
        .all(|field| !text(document, field).is_empty())
        && document["kind"] != "Kustomization"
}

/// The shipped objects, each with its source: the kustomizations, and the files outside of them.
fn shipped() -> Result<Vec<(String, Value)>> {
    let mut found = Vec::new();
    let folders = kustomize::folders()?;
    for folder in &folders {
        let place = folder.display().to_string();
        found.extend(
            kustomize::build(folder)?
                .into_iter()
                .map(|object| (place.clone(), object)),
        );
    }
    for file in yaml::files(&repository("k8s"), ".yaml")? {
        if !folders.iter().any(|folder| file.starts_with(folder)) {
            let documents = yaml::documents(&std::fs::read_to_string(&file)?)?;
            let objects = documents.into_iter().filter(is_object);
            found.extend(objects.map(|object| (file.display().to_string(), object)));
        }
    }
    Ok(found)
}

/// The complete objects in the documents.
fn documented() -> Result<Vec<(String, Value)>> {
    let mut found = Vec::new();
    for block in blocks::everywhere()?
        .into_iter()
        .filter(|block| block.language == "yaml")
    {
        let objects = yaml::documents(&block.text)?.into_iter().filter(is_object);
        found.extend(objects.map(|object| (block.location.clone(), object)));
    }
    Ok(found)
}

#[tokio::test]
async fn every_shipped_or_documented_object_is_applied_and_its_pods_are_admitted() -> Result<()> {
    let cluster = cluster().await?;
    let mut objects = shipped()?;
    assert!(objects.len() > 20, "{}", objects.len());
    objects.extend(documented()?);
    let named = objects.iter().map(|(_, object)| text(object, "/metadata/namespace"));
    let mut namespaces: BTreeSet<&str> = named.filter(|name| !name.is_empty()).collect();
    namespaces.insert("default");
    for name in namespaces {
        namespace(&cluster, name).await?;
    }
    let mut rejected = Vec::new();
    for (place, object) in &objects {
        // A CRD is served a moment after its creation.
        let applied = eventually(async || match cluster.apply_object(object).await {
            Err(error) if error.to_string().contains("404") => Err(error),
            done => Ok(done),
        });
        match applied.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) | Err(error) => rejected.push(format!("{place}: {error}")),
        }
    }
    assert!(rejected.is_empty(), "{}", rejected.join("\n"));

    let mut created = 0;
    for (place, object) in &objects {
        let Some(template) = pods::template(object) else {
            continue;
        };
        created += 1;
        let mut pod = pod_of(template, created, text(object, "/metadata/namespace"));
        let applied = cluster.apply_object(&pod).await;
        applied.map_err(|error| format!("{place}: {error}"))?;
        // The same pod is rejected once it violates the level.
        pod["metadata"]["name"] = json!("violation");
        pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
        let error = cluster.apply_object(&pod).await.unwrap_err().to_string();
        assert!(error.contains("violates PodSecurity \"restricted"), "{error}");
    }
    assert!(created >= 3, "{created}");
    Ok(())
}

/// The pod that a workload's controller would create.
fn pod_of(template: &Value, number: usize, namespace: &str) -> Value {
    let namespace = if namespace.is_empty() { "default" } else { namespace };
    let mut pod = template.clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!(format!("pod-{number}"));
    pod["metadata"]["namespace"] = json!(namespace);
    pod
}

#[tokio::test]
async fn an_unknown_field_is_rejected_in_every_kind() -> Result<()> {
    let cluster = cluster().await?;
    for name in ["default", "envoy-gateway-system"] {
        namespace(&cluster, name).await?;
    }
    for (path, kind) in [
        ("k8s/base", "Deployment"),
        ("k8s/istio/gateway", "WasmPlugin"),
        ("k8s/istio/gateway", "Gateway"),
        ("k8s/envoy-gateway", "EnvoyProxy"),
        ("k8s/envoy-gateway", "EnvoyExtensionPolicy"),
        ("k8s/gateway-api", "InferencePool"),
    ] {
        let objects = kustomize::build(&repository(path))?;
        let mut object = objects.into_iter().find(|object| object["kind"] == kind).unwrap();
        object["spec"]["misspelt"] = json!(true);
        let result = eventually(async || match cluster.apply_object(&object).await {
            Err(error) if error.to_string().contains("404") => Err(error),
            done => Ok(done),
        });
        let error = result.await?.unwrap_err().to_string();
        assert!(error.contains("misspelt"), "{kind}: {error}");
    }
    Ok(())
}
