use serde_json::{Value, json};

use super::*;

/// The slices with these ports and endpoints.
fn slices(of: &[Value]) -> BTreeMap<String, Slice> {
    let slice = |(number, slice): (usize, &Value)| {
        let slice: EndpointSlice = serde_json::from_value(slice.clone()).unwrap();
        (format!("envoy-{number}"), Slice::from(&slice))
    };
    of.iter().enumerate().map(slice).collect()
}

fn slice(family: &str, ports: Value, endpoints: Value) -> Value {
    json!({"metadata": {}, "addressType": family, "ports": ports, "endpoints": endpoints})
}

fn endpoint(address: &str, pod: &str) -> Value {
    json!({"addresses": [address], "targetRef": {"kind": "Pod", "name": pod, "uid": format!("uid-of-{pod}")}})
}

fn stats() -> Value {
    json!([{"name": "stats", "port": 9902, "protocol": "TCP"}])
}

fn named(name: &str) -> Option<ServicePort> {
    Some(ServicePort::Name(name.to_owned()))
}

fn names(slices: &BTreeMap<String, Slice>, port: Option<&ServicePort>) -> Vec<String> {
    let targets = targets(slices, port).unwrap();
    targets.iter().map(|target| target.name.to_string()).collect()
}

#[test]
fn every_endpoint_is_a_target_whatever_its_conditions() {
    let with = |address: &str, conditions: Value| json!({"addresses": [address], "conditions": conditions});
    let slices = slices(&[slice(
        "IPv4",
        stats(),
        json!([
            with(
                "10.0.0.3",
                json!({"ready": false, "serving": true, "terminating": true})
            ),
            with("10.0.0.1", json!({"ready": true, "serving": true})),
            with("10.0.0.2", json!({"ready": false})),
            with("10.0.0.4", Value::Null),
        ]),
    )]);
    let expected = ["10.0.0.1:9902", "10.0.0.2:9902", "10.0.0.3:9902", "10.0.0.4:9902"];
    assert_eq!(names(&slices, None), expected);
    let first = &targets(&slices, None).unwrap()[0];
    assert_eq!(first.url.as_ref().unwrap().to_string(), "http://10.0.0.1:9902/");
    assert_eq!(first.ready, None);
}

#[test]
fn a_port_is_chosen_by_name_in_each_slice_or_by_number_of_the_pods() {
    let ports = |stats: u16| json!([{"name": "http", "port": 10000}, {"name": "stats", "port": stats}]);
    // Pods of two versions have different numbers for one name.
    let slices = slices(&[
        slice("IPv4", ports(9902), json!([endpoint("10.0.0.1", "a")])),
        slice("IPv4", ports(9903), json!([endpoint("10.0.0.2", "b")])),
    ]);
    assert_eq!(
        names(&slices, named("stats").as_ref()),
        ["10.0.0.1:9902", "10.0.0.2:9903"]
    );
    let number = ServicePort::Number(15090.try_into().unwrap());
    assert_eq!(names(&slices, Some(&number)), ["10.0.0.1:15090", "10.0.0.2:15090"]);
}

#[test]
fn an_unclear_port_is_an_error_that_names_the_ports() {
    let ports = json!([{"name": "http", "port": 10000}, {"name": "stats", "port": 9902}]);
    let error = |slices: &BTreeMap<String, Slice>, port: Option<ServicePort>| {
        targets(slices, port.as_ref()).unwrap_err().to_string()
    };
    let two = slices(&[slice("IPv4", ports, json!([endpoint("10.0.0.1", "a")]))]);
    assert_eq!(error(&two, None), "it has several ports (http, stats): append :PORT");
    assert_eq!(
        error(&two, named("metrics")),
        "it has no port \"metrics\"; its ports: http, stats"
    );
    let none = slices(&[slice("IPv4", Value::Null, json!([endpoint("10.0.0.1", "a")]))]);
    assert_eq!(
        error(&none, None),
        "it has no ports: append the number of the stats' port, :PORT"
    );
    assert!(error(&BTreeMap::new(), None).starts_with("no EndpointSlices"));
}

#[test]
fn a_service_without_endpoints_is_empty_and_no_error() {
    // What Kubernetes creates for a Service whose pods do not exist yet.
    for empty in [
        slice("IPv4", Value::Null, json!([])),
        slice("IPv4", stats(), json!([])),
        json!({"metadata": {}, "addressType": "IPv4", "ports": null, "endpoints": null}),
    ] {
        let slices = slices(&[empty]);
        for port in [None, named("stats"), named("other")] {
            assert_eq!(targets(&slices, port.as_ref()), Ok(Vec::new()));
        }
    }
}

#[test]
fn ports_of_other_protocols_are_ignored() {
    let ports = json!([
        {"name": "http3", "port": 443, "protocol": "UDP"}, {"name": "stats", "port": 9902}, {"name": "any"}, {"name": "bad", "port": 0},
    ]);
    let slices = slices(&[slice("IPv4", ports, json!([endpoint("10.0.0.1", "a")]))]);
    assert_eq!(names(&slices, None), ["10.0.0.1:9902"]);
}

#[test]
fn a_pod_is_one_target_in_several_slices_and_families() {
    let slices = slices(&[
        slice(
            "IPv6",
            stats(),
            json!([endpoint("fd00::1", "a"), endpoint("fd00::2", "b")]),
        ),
        slice("IPv4", stats(), json!([endpoint("10.0.0.1", "a")])),
        slice(
            "IPv4",
            stats(),
            json!([endpoint("10.0.0.1", "a"), endpoint("10.0.0.3", "c")]),
        ),
    ]);
    // `b` has an address of one family.
    assert_eq!(
        names(&slices, None),
        ["10.0.0.1:9902", "10.0.0.3:9902", "[fd00::2]:9902"]
    );
}

#[test]
fn endpoints_without_a_pod_are_distinguished_by_their_address() {
    let endpoint = |address: &str| json!({ "addresses": [address, "10.9.9.9"] });
    let slices = slices(&[
        slice("IPv4", stats(), json!([endpoint("192.0.2.1"), endpoint("192.0.2.2")])),
        slice("IPv4", stats(), json!([endpoint("192.0.2.1")])),
        slice("FQDN", stats(), json!([endpoint("envoy.example.com")])),
    ]);
    assert_eq!(names(&slices, None), ["192.0.2.1:9902", "192.0.2.2:9902"]);
}
