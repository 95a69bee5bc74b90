//! Tests with Envoy Gateway.

use infertally_harness::{Result, repository};
use infertally_manifests::kustomize;
use infertally_manifests::yaml::text;
use serde_json::{Value, json};

use crate::parity::{has_the_same_series, server};
use crate::rendered::{Rendered, is_wasm};

/// The port at which Prometheus scrapes the proxies of Envoy Gateway.
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
async fn envoy_gateways_envoy_has_the_series_of_the_shipped_envoy() -> Result<()> {
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
    has_the_same_series(&envoy, &server).await
}

#[test]
fn envoy_gateway_fetches_the_module_from_the_image() {
    let rendered = Rendered::by("ENVOY_GATEWAY", &[], &shipped().unwrap()).unwrap();
    assert_eq!(
        rendered.list("fetched"),
        [json!(format!(
            "oci://registry.example.com/infertally:{}",
            env!("CARGO_PKG_VERSION")
        ))]
    );
}

/// The translator runs Envoy Gateway's own schemas and checks, so the other tests would notice an invalid manifest.
#[test]
fn the_translator_rejects_what_envoy_gateway_rejects() {
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

/// Envoy Gateway's default order has Wasm behind ext_proc, where the filter would see the request that the picker changed.
#[test]
fn the_filter_runs_before_an_endpoint_picker() {
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
    let position = |part: &str| names.iter().position(|name| name.contains(part));
    assert!(position("wasm").unwrap() < position("ext_proc").unwrap(), "{names:?}");
}
