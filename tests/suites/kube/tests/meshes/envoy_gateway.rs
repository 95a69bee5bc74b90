//! Envoy Gateway.

use infertally_harness::{Result, repository};
use infertally_manifests::kustomize;
use infertally_manifests::yaml::text;
use serde_json::{Value, json};

use crate::rendered::{Rendered, is_wasm};
use crate::same::{server, shows_the_same};

/// Where Envoy Gateway has Prometheus scrape its proxies.
const STATS: u16 = 19001;

fn shipped() -> Result<Vec<Value>> {
    let mut objects = kustomize::build(&repository("k8s/envoy-gateway"))?;
    objects.extend(
        kustomize::build(&repository("k8s/lora"))?
            .into_iter()
            .filter(|object| object["kind"] == "Service"),
    );
    Ok(objects)
}

#[tokio::test]
async fn what_envoy_gateway_makes_of_the_manifests_shows_what_the_shipped_envoy_shows() -> Result<()> {
    let rendered = Rendered::by("ENVOY_GATEWAY", &[], &shipped()?)?;
    let managers = rendered.managers();
    let [(_, manager)] = managers.as_slice() else {
        panic!("{} connection managers with the filter", managers.len());
    };
    let filters = rendered.filters(manager);
    let filter = &filters.iter().find(|filter| is_wasm(filter)).unwrap()["typed_config"]["config"];
    assert_eq!(filter["root_id"], "infertally");
    assert_eq!(filter["fail_open"], true);
    assert_eq!(text(filter, "/configuration/value"), r#"{"maxModels":200,"models":[]}"#);
    let server = server().await?;
    let envoy = rendered.run(manager, STATS, server.addr()).await?;
    shows_the_same(&envoy, &server).await
}

#[test]
fn the_module_that_it_fetches_is_the_image() {
    let rendered = Rendered::by("ENVOY_GATEWAY", &[], &shipped().unwrap()).unwrap();
    assert_eq!(
        rendered.list("fetched"),
        [json!(format!(
            "oci://registry.example.com/infertally:{}",
            env!("CARGO_PKG_VERSION")
        ))]
    );
}

/// Its own schemas and checks stand behind these tests: what it would refuse in a cluster, it refuses here.
#[test]
fn what_envoy_gateway_would_refuse_is_refused() {
    for (kind, pointer, value) in [
        ("EnvoyExtensionPolicy", "/spec/wasm/0/failOpen", json!("yes")),
        ("EnvoyExtensionPolicy", "/spec/wasm/0/code/type", json!("File")),
        ("EnvoyProxy", "/spec/bootstrap/type", json!("Replace")),
        ("EnvoyProxy", "/spec/bootstrap/value", json!("stats_config: [")),
    ] {
        let mut objects = shipped().unwrap();
        let object = objects.iter_mut().find(|object| object["kind"] == kind).unwrap();
        *object.pointer_mut(pointer).unwrap() = value;
        assert!(
            Rendered::by("ENVOY_GATEWAY", &[], &objects).is_err(),
            "{kind} {pointer}"
        );
    }
}

/// By itself Envoy Gateway would put it behind, where it sees what the picker made of the request.
#[test]
fn the_filter_stands_before_an_endpoint_picker() {
    let mut objects = shipped().unwrap();
    let mut picker = objects
        .iter()
        .find(|object| object["kind"] == "Service")
        .unwrap()
        .clone();
    picker["metadata"]["name"] = json!("vllm-epp");
    objects.push(picker);
    let policy = objects
        .iter_mut()
        .find(|object| object["kind"] == "EnvoyExtensionPolicy")
        .unwrap();
    policy["spec"]["extProc"] = json!([{"backendRefs": [{"name": "vllm-epp", "port": 8000}]}]);
    let rendered = Rendered::by("ENVOY_GATEWAY", &[], &objects).unwrap();
    let (_, manager) = rendered.managers()[0];
    let names: Vec<_> = rendered
        .filters(manager)
        .iter()
        .map(|filter| text(filter, "/name").to_owned())
        .collect();
    let place = |part: &str| names.iter().position(|name| name.contains(part));
    assert!(place("wasm").unwrap() < place("ext_proc").unwrap(), "{names:?}");
}
