//! The endpoints of a Service, as its EndpointSlices come, change and go.

use infertally_syncer::target::Target;
use serde_json::{Value, json};

use crate::api::{Api, Interruption, Kind};
use crate::setup::Setup;

/// A slice of a Service, whose ports are http and stats.
fn slice(service: &str, endpoints: &[Value]) -> Value {
    json!({
        "metadata": {"labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 10000}, {"name": "stats", "port": 9902}],
        "endpoints": endpoints,
    })
}

/// An endpoint with the address `10.0.0.LAST`.
fn endpoint(last: u8, ready: bool) -> Value {
    json!({
        "addresses": [format!("10.0.0.{last}")],
        "conditions": {"ready": ready, "serving": true, "terminating": !ready},
        "targetRef": {"kind": "Pod", "name": format!("envoy-{last}"), "uid": format!("uid-{last}")},
    })
}

async fn addresses(setup: &mut Setup) -> Vec<String> {
    let name = |target: &Target| target.name.to_string();
    setup.targets().await.iter().map(name).collect()
}

/// A server with one slice of the Service `envoy`, and its discovery.
async fn setup() -> Setup {
    let api = Api::serving(&[Kind::EndpointSlice]);
    api.put(Kind::EndpointSlice, "envoy-a", slice("envoy", &[endpoint(1, true)]));
    let mut setup = Setup::of_service(&api, "envoy:stats");
    assert_eq!(addresses(&mut setup).await, ["10.0.0.1:9902"]);
    setup.settle().await;
    setup.api.requests();
    setup
}

#[tokio::test(start_paused = true)]
async fn endpoints_are_followed_over_slices_until_they_are_gone() {
    let mut setup = setup().await;
    let put = |setup: &Setup, name: &str, slice: Value| setup.api.put(Kind::EndpointSlice, name, slice);
    // The gateway scales out, into a second slice.
    put(
        &setup,
        "envoy-b",
        slice("envoy", &[endpoint(2, true), endpoint(3, true)]),
    );
    assert_eq!(
        addresses(&mut setup).await,
        ["10.0.0.1:9902", "10.0.0.2:9902", "10.0.0.3:9902"]
    );
    // A pod that terminates still holds what it has counted.
    put(
        &setup,
        "envoy-b",
        slice("envoy", &[endpoint(2, false), endpoint(3, true)]),
    );
    setup.assert_quiet().await;
    put(&setup, "envoy-b", slice("envoy", &[endpoint(3, true)]));
    assert_eq!(addresses(&mut setup).await, ["10.0.0.1:9902", "10.0.0.3:9902"]);
    // The controller merges the slices: for a moment an endpoint is in both.
    put(
        &setup,
        "envoy-a",
        slice("envoy", &[endpoint(1, true), endpoint(3, true)]),
    );
    setup.api.delete(Kind::EndpointSlice, "envoy-b");
    setup.assert_quiet().await;
    // Another Service's slice.
    put(&setup, "other-a", slice("other", &[endpoint(9, true)]));
    setup.assert_quiet().await;
    put(&setup, "envoy-a", slice("envoy", &[]));
    assert!(addresses(&mut setup).await.is_empty());
    setup.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn only_the_services_slices_are_requested() {
    let setup = setup().await;
    setup.api.interrupt(Interruption::Reset);
    setup.settle().await;
    let requests = setup.api.requests();
    assert!(!requests.is_empty());
    for request in requests {
        assert!(
            request.contains("labelSelector=kubernetes.io%2Fservice-name%3Denvoy"),
            "{request}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_exist_is_an_empty_set_and_a_failure_until_it_does() {
    let api = Api::serving(&[Kind::EndpointSlice]);
    let mut setup = Setup::of_service(&api, "envoy:stats");
    assert!(addresses(&mut setup).await.is_empty());
    assert_eq!(
        setup.failing().await,
        "Service inference/envoy: no EndpointSlices: there is no Service of that name, or it has neither a selector nor \
         endpoints"
    );
    api.put(Kind::EndpointSlice, "envoy-a", slice("envoy", &[]));
    assert!(addresses(&mut setup).await.is_empty());
    api.put(Kind::EndpointSlice, "envoy-a", slice("envoy", &[endpoint(1, true)]));
    assert_eq!(addresses(&mut setup).await, ["10.0.0.1:9902"]);
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_reported_with_the_role_that_grants_it() {
    let api = Api::serving(&[Kind::EndpointSlice]);
    api.put(Kind::EndpointSlice, "envoy-a", slice("envoy", &[endpoint(1, true)]));
    api.forbid("list", Kind::EndpointSlice);
    let mut setup = Setup::of_service(&api, "envoy:stats");
    assert_eq!(
        setup.failing().await,
        "Service inference/envoy: EndpointSlices: endpointslices is forbidden: User \"syncer\" cannot list resource \
         \"endpointslices\"; k8s/base/envoy-service has the Role"
    );
    api.permit("list", Kind::EndpointSlice);
    assert_eq!(addresses(&mut setup).await, ["10.0.0.1:9902"]);
}

#[tokio::test(start_paused = true)]
async fn the_last_endpoints_stay_while_the_api_server_is_away_or_the_port_is_gone() {
    let mut setup = setup().await;
    setup.api.set_unreachable(true);
    let why = setup.failing().await;
    assert!(
        why.starts_with("Service inference/envoy: the API server can't be reached"),
        "{why}"
    );
    setup
        .api
        .put(Kind::EndpointSlice, "envoy-a", slice("envoy", &[endpoint(2, true)]));
    setup.api.set_unreachable(false);
    assert_eq!(addresses(&mut setup).await, ["10.0.0.2:9902"]);

    let mut renamed = slice("envoy", &[endpoint(2, true)]);
    renamed["ports"][1]["name"] = "metrics".into();
    setup.api.put(Kind::EndpointSlice, "envoy-a", renamed);
    assert_eq!(
        setup.failing().await,
        "Service inference/envoy: it has no port \"stats\"; its ports: http, metrics"
    );
    setup
        .api
        .put(Kind::EndpointSlice, "envoy-a", slice("envoy", &[endpoint(2, true)]));
    assert_eq!(addresses(&mut setup).await, ["10.0.0.2:9902"]);
    setup.assert_quiet().await;
}
