//! Tests with Istio: a gateway and a sidecar.

use infertally_harness::{Result, repository};
use infertally_manifests::kustomize;
use infertally_manifests::yaml::text;
use serde_json::{Value, json};

use crate::parity::{has_the_same_series, server};
use crate::rendered::{Rendered, is_wasm};

/// Envoy's own stats port; the agent copies them to 15020.
const STATS: u16 = 15090;
const ADDRESS: &str = "10.0.0.1";

/// A running pod of this template, with the fields that the fake cluster needs.
fn pod(name: &str, template: &Value) -> Value {
    let mut pod = template.clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!(name);
    pod["metadata"]["namespace"] = json!("default");
    pod["status"] = json!({"podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}], "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}]});
    pod
}

/// The EndpointSlice that Kubernetes' controller would create for a Service with that pod.
fn endpoints(service: &str, pod: &str, port: u16) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{service}-1"), "namespace": "default",
            "labels": {"kubernetes.io/service-name": service}},
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "name": pod, "namespace": "default"}}],
    })
}

fn service(objects: Vec<Value>) -> Value {
    let mut service = objects.into_iter().find(|object| object["kind"] == "Service").unwrap();
    service["spec"]["clusterIP"] = json!("10.96.0.20");
    service
}

/// Renders the gateway. Istio's controller would create its Service and its pod, with the annotations of the Gateway.
fn gateway(change: impl FnOnce(&mut Vec<Value>)) -> Result<Rendered> {
    let mut objects = kustomize::build(&repository("k8s/istio/gateway"))?;
    change(&mut objects);
    let annotations = objects.iter().find(|object| object["kind"] == "Gateway").unwrap();
    let annotations = annotations["spec"]["infrastructure"]["annotations"].clone();
    let label = json!({"gateway.networking.k8s.io/gateway-name": "inference"});
    objects.push(service(kustomize::build(&repository("k8s/lora"))?));
    objects.push(
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
        "metadata": {"name": "istio"}, "spec": {"controllerName": "istio.io/gateway-controller"}}),
    );
    objects.push(json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "inference-istio", "namespace": "default"},
        "spec": {"clusterIP": "10.96.0.10", "selector": label,
            "ports": [{"name": "http", "port": 80, "targetPort": 80}]}}));
    objects.push(endpoints("inference-istio", "inference-istio-1", 80));
    objects.push(pod(
        "inference-istio-1",
        &json!({
            "metadata": {"labels": label, "annotations": annotations},
            "spec": {"containers": [{"name": "istio-proxy", "image": "proxyv2"}]},
        }),
    ));
    Rendered::by(
        "ISTIO",
        &["-router", "-address", ADDRESS, "-istio-version", "1.31.0"],
        &objects,
    )
}

/// Renders the sidecar of a model server, in a pod of the shipped Deployment.
fn sidecar() -> Result<Rendered> {
    let mut objects = kustomize::build(&repository("k8s/istio/sidecar"))?;
    let template = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
    let template = template["spec"]["template"].clone();
    let service = service(objects.clone());
    objects.retain(|object| text(object, "/apiVersion").contains("istio.io"));
    objects.push(service);
    objects.push(endpoints("vllm", "vllm-1", 8000));
    objects.push(pod("vllm-1", &template));
    Rendered::by("ISTIO", &["-address", ADDRESS, "-istio-version", "1.31.0"], &objects)
}

fn assert_is_as_shipped(filter: &Value) {
    let filter = &filter["typed_config"]["config"];
    assert_eq!(filter["root_id"], "infertally");
    assert_eq!(filter["failure_policy"], "FAIL_OPEN");
    assert_eq!(text(filter, "/configuration/value"), r#"{"maxModels":200,"models":[]}"#);
    let image = format!("oci://registry.example.com/infertally:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(filter, "/vm_config/code/remote/http_uri/uri"), image);
}

#[tokio::test]
async fn istios_gateway_has_the_series_of_the_shipped_envoy() -> Result<()> {
    let rendered = gateway(|_| {})?;
    let managers = rendered.managers();
    let [(_, manager)] = managers.as_slice() else {
        panic!("{} connection managers with the filter", managers.len());
    };
    assert_is_as_shipped(rendered.filters(manager).iter().find(|filter| is_wasm(filter)).unwrap());
    let server = server().await?;
    let envoy = rendered.run(manager, STATS, server.addr()).await?;
    has_the_same_series(&envoy, &server).await
}

#[tokio::test]
async fn istios_sidecar_has_the_same_series_and_filters_only_inbound_traffic_to_the_servers_port() -> Result<()> {
    let rendered = sidecar()?;
    let managers = rendered.managers();
    assert!(!managers.is_empty());
    for (chain, _) in &managers {
        assert_eq!(chain["filter_chain_match"]["destination_port"], 8000, "{chain}");
    }
    let (_, manager) = managers[0];
    assert_is_as_shipped(rendered.filters(manager).iter().find(|filter| is_wasm(filter)).unwrap());
    let server = server().await?;
    let envoy = rendered.run(manager, STATS, server.addr()).await?;
    has_the_same_series(&envoy, &server).await
}

/// Uses `k8s/gateway-api`, and the objects that istiod itself writes: the status of the route, and a Service for the pool, whose
/// name ends with the first digits of the SHA-256 of the pool's name.
#[test]
fn the_filter_runs_before_the_endpoint_picker_of_an_inference_pool() {
    let rendered = gateway(|objects| {
        objects.retain(|object| object["kind"] != "HTTPRoute");
        objects.extend(kustomize::build(&repository("k8s/gateway-api")).unwrap());
        let route = objects.iter_mut().find(|object| object["kind"] == "HTTPRoute").unwrap();
        let parent = json!({"controllerName": "istio.io/gateway-controller", "parentRef": {"name": "inference"},
            "conditions": []});
        route["status"] = json!({"parents": [parent]});
        objects.push(json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "vllm-epp", "namespace": "default"},
            "spec": {"clusterIP": "10.96.0.30", "ports": [{"name": "grpc", "port": 9002}]}}));
        objects.push(json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "vllm-ip-ec8207a3", "namespace": "default", "labels": {
                "istio.io/inferencepool-name": "vllm",
                "istio.io/inferencepool-extension-service": "vllm-epp",
                "istio.io/inferencepool-extension-port": "9002",
                "istio.io/inferencepool-extension-failure-mode": "FailOpen",
                "internal.istio.io/service-semantics": "inferencepool"}},
            "spec": {"clusterIP": "None", "selector": {"app": "vllm"},
                "ports": [{"name": "http-0", "port": 54321, "targetPort": 8000}]}}));
    });
    let rendered = rendered.unwrap();
    let (_, manager) = rendered.managers()[0];
    let filters = rendered.filters(manager);
    let ours = filters.iter().position(is_wasm).unwrap();
    let pickers = filters
        .iter()
        .position(|filter| text(filter, "/name").contains("ext_proc"));
    assert!(ours < pickers.unwrap(), "{filters:?}");
}
