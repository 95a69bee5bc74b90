//! Every manifest, and every object that the documents show, on a real API server with the real CRDs: applied by the server,
//! no field unknown. And the pods are let into a namespace of the level *restricted*.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper of a test fails it"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use infertally_harness::{eventually, repository};
use infertally_kube::objects::PoolVersion::{V1, V1Alpha2};
use infertally_kube::{Cluster, Result};
use infertally_manifests::yaml::{self, text};
use infertally_manifests::{blocks, kustomize, pods};
use serde_json::{Value, json};

/// What a namespace needs before anything is in it. Its level is enforced for pods; workloads are only warned of.
async fn namespace(cluster: &Cluster, name: &str) -> Result<()> {
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    cluster.apply_object(&namespace).await?;
    // By Kubernetes' own controller.
    let account =
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}});
    cluster.apply_object(&account).await
}

/// A cluster with the CRDs of everything that the manifests name.
async fn cluster() -> Result<Cluster> {
    let cluster = Cluster::start().await?;
    cluster.install(V1).await?;
    cluster.install(V1Alpha2).await?;
    let folder = std::env::var_os("CRDS").ok_or("CRDS is not set: run these tests by `make test-kube`")?;
    for file in yaml::files(&PathBuf::from(folder), ".yaml")? {
        for object in yaml::documents(&std::fs::read_to_string(&file)?)? {
            if object["kind"] == "CustomResourceDefinition" {
                cluster.apply_object(&object).await?;
            }
        }
    }
    Ok(cluster)
}

/// Objects of Kubernetes; a Kustomization is none.
fn is_object(document: &Value) -> bool {
    ["/apiVersion", "/kind", "/metadata/name"]
        .iter()
        .all(|field| !text(document, field).is_empty())
        && document["kind"] != "Kustomization"
}

/// What is shipped, each with where it is from: by folder, and files that belong to none.
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

/// Every object that a document shows whole.
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
async fn everything_that_is_shipped_or_documented_is_applied_and_its_pods_are_let_in() -> Result<()> {
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
    let mut refused = Vec::new();
    for (place, object) in &objects {
        // A CRD is served a moment after it was made.
        let applied = eventually(async || match cluster.apply_object(object).await {
            Err(error) if error.to_string().contains("404") => Err(error),
            done => Ok(done),
        });
        match applied.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) | Err(error) => refused.push(format!("{place}: {error}")),
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));

    let mut made = 0;
    for (place, object) in &objects {
        let Some(template) = pods::template(object) else {
            continue;
        };
        made += 1;
        let mut pod = pod_of(template, made, text(object, "/metadata/namespace"));
        let made = cluster.apply_object(&pod).await;
        made.map_err(|error| format!("{place}: {error}"))?;
        // And the same pod is kept out once it is not as the level wants it.
        pod["metadata"]["name"] = json!("kept-out");
        pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
        let refused = cluster.apply_object(&pod).await.unwrap_err().to_string();
        assert!(refused.contains("violates PodSecurity \"restricted"), "{refused}");
    }
    assert!(made >= 3, "{made}");
    Ok(())
}

/// The pod that a workload's controller would make.
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
async fn a_field_that_nobody_knows_is_refused_of_every_kind() -> Result<()> {
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
        let said = eventually(async || match cluster.apply_object(&object).await {
            Err(error) if error.to_string().contains("404") => Err(error),
            done => Ok(done),
        });
        let said = said.await?.unwrap_err().to_string();
        assert!(said.contains("misspelt"), "{kind}: {said}");
    }
    Ok(())
}
