//! Real Envoys behind a Service of a real API server: the syncer, with the account, Role and variable of the shipped
//! component, follows them as they come and go.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed helper fails the test"
)]

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use infertally_harness::checked_envoy::{COMPLETIONS, PROMPT, tiny_admitted};
use infertally_harness::envoy::{Binaries, Envoy};
use infertally_harness::{Syncer, client, eventually};
use infertally_kube::{Cluster, Result};
use infertally_manifests::yaml::text;
use infertally_manifests::{overlays, pods};
use infertally_sim::{Sim, SimConfig};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// Discovery works.
const WORKS: &str = "infertally_syncer_envoy_discovery_age_seconds 0";

/// An address of this machine that the API server accepts for an endpoint, which one of the loopback range is not. Traffic
/// to it does not leave the machine, and connecting a UDP socket sends nothing.
async fn own_address() -> Result<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    socket.connect("192.0.2.1:9").await?;
    Ok(socket.local_addr()?.ip())
}

/// An Envoy whose stats can be read at an address that is not a loopback one.
struct Endpoint {
    envoy: Envoy,
    address: SocketAddr,
    _forwarder: JoinSet<()>,
}

// === impl Endpoint ===

impl Endpoint {
    async fn start(sim: &Sim) -> Result<Self> {
        let envoy = Envoy::start(&Binaries::from_env()?, sim.addr(), 1, tiny_admitted).await?;
        let listener = TcpListener::bind((own_address().await?, 0)).await?;
        let (address, stats) = (listener.local_addr()?, envoy.stats_listener());
        let mut forwarder = JoinSet::new();
        forwarder.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                connections.spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(stats).await {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Ok(Self {
            envoy,
            address,
            _forwarder: forwarder,
        })
    }

    async fn send(&self, count: usize) -> Result<()> {
        for _ in 0..count {
            let request = client::request("POST", COMPLETIONS, &[], PROMPT);
            client::exchange(self.envoy.listener(), &request, usize::MAX).await?;
        }
        Ok(())
    }

    /// The series of its requests on the syncer's page.
    fn requests(&self, count: usize) -> String {
        let envoy = self.address;
        format!(
            "inference_model_request_total{{model_name=\"tiny\",target_model_name=\"tiny\",envoy=\"{envoy}\"}} {count}"
        )
    }

    /// What all its series contain.
    fn label(&self) -> String {
        format!("envoy=\"{}\"", self.address)
    }
}

/// A slice of the Service, as Kubernetes' controller writes it. All Envoys have one address here and ports of their own, so
/// each is in a slice of its own.
fn slice(name: &str, endpoint: &Endpoint, ready: bool) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "infertally-envoy"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 10000}, {"name": "stats", "port": endpoint.address.port()}],
        "endpoints": [{
            "addresses": [endpoint.address.ip().to_string()],
            "conditions": {"ready": ready, "serving": true, "terminating": !ready},
            "targetRef": {"kind": "Pod", "namespace": "default", "name": name},
        }],
    })
}

async fn delete_slice(cluster: &Cluster, name: &str) -> Result<()> {
    let slices: Api<EndpointSlice> = Api::namespaced(cluster.client().await?, "default");
    slices.delete(name, &Default::default()).await?;
    Ok(())
}

/// The objects of an overlay with the component.
fn shipped() -> Result<Vec<Value>> {
    overlays::build("resources: [../k8s/base]\ncomponents: [../k8s/base/envoy-service]\n")
}

/// The shipped value of `INFERTALLY_ENVOY_SERVICE`.
fn service(shipped: &[Value]) -> Result<String> {
    let pod = shipped.iter().find_map(pods::template).ok_or("no pod in k8s/base")?;
    let container = pods::containers(pod).next().ok_or("no container in the pod")?;
    let variables = container["env"].as_array().ok_or("no variables")?;
    let variable = variables
        .iter()
        .find(|variable| variable["name"] == "INFERTALLY_ENVOY_SERVICE");
    Ok(text(variable.ok_or("the component sets no Service")?, "/value").to_owned())
}

/// Starts the syncer with an account's token, and returns once it listens.
async fn syncer(cluster: &Cluster, account: &str, service: &str) -> Result<Syncer> {
    let binary = std::env::var_os("INFERTALLY_SYNCER").map(PathBuf::from);
    let binary = binary.ok_or("INFERTALLY_SYNCER is not set: run these tests with `make test-kube`")?;
    let token = cluster.token("default", account).await?;
    let mut command = Command::new(binary);
    command
        .env("KUBECONFIG", cluster.kubeconfig(&token)?)
        .args(["pool", "--listen", "127.0.0.1:0", "--metrics-auth", "none"])
        .args([
            "--envoy-service",
            service,
            "--envoy-interval",
            "200ms",
            "--envoy-stale-after",
            "2s",
        ]);
    Syncer::start(&mut command).await
}

async fn is_ready(syncer: &Syncer) -> Result<()> {
    eventually(async || {
        if syncer.is_ready().await {
            Ok(())
        } else {
            Err("not ready".into())
        }
    })
    .await
}

#[tokio::test]
async fn the_syncer_follows_the_envoys_of_a_gateway_that_scales() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let shipped = shipped()?;
    for object in &shipped {
        cluster.apply_object(object).await?;
    }
    let sim = Sim::start(SimConfig::default()).await?;
    let [a, b] = [Endpoint::start(&sim).await?, Endpoint::start(&sim).await?];
    a.send(3).await?;
    cluster.apply_object(&slice("infertally-envoy-a", &a, true)).await?;
    let syncer = syncer(&cluster, "infertally-syncer", &service(&shipped)?).await?;
    // One Envoy, and labelled as it will be when there are two.
    syncer.shows(&[&a.requests(3)], &[]).await?;
    is_ready(&syncer).await?;

    // It scales out.
    b.send(2).await?;
    cluster.apply_object(&slice("infertally-envoy-b", &b, true)).await?;
    let page = syncer.shows(&[&a.requests(3), &b.requests(2)], &[]).await?;
    assert!(
        page.contains("# TYPE inference_model_request_duration_seconds histogram"),
        "{page}"
    );

    // A pod terminates: its last requests are still counted.
    cluster.apply_object(&slice("infertally-envoy-a", &a, false)).await?;
    a.send(4).await?;
    syncer.shows(&[&a.requests(7), &b.requests(2)], &[]).await?;
    // It is gone. Its last page stays until it is stale, and the other's series are unaffected.
    let (label, last) = (a.label(), a.requests(7));
    delete_slice(&cluster, "infertally-envoy-a").await?;
    drop(a);
    assert!(syncer.metrics().await?.contains(&last));
    syncer.shows(&[&b.requests(2)], &[&label]).await?;

    // The API server is away: the last known Envoy is still scraped, and a new one is found after it.
    cluster.kill_api_server();
    b.send(1).await?;
    let page = eventually(async || match syncer.metrics().await? {
        page if page.lines().any(|line| line == WORKS) => Err("the failure is not noticed".into()),
        page => Ok(page),
    })
    .await?;
    assert!(
        page.contains("infertally_syncer_envoy_discovery_age_seconds "),
        "{page}"
    );
    syncer.shows(&[&b.requests(3)], &[]).await?;
    cluster.start_api_server().await?;
    let c = Endpoint::start(&sim).await?;
    c.send(1).await?;
    cluster.apply_object(&slice("infertally-envoy-c", &c, true)).await?;
    syncer.shows(&[&b.requests(3), &c.requests(1), WORKS], &[]).await?;
    assert!(syncer.is_ready().await);
    Ok(())
}

#[tokio::test]
async fn without_the_component_the_log_says_which_permission_is_missing() -> Result<()> {
    let cluster = Cluster::start().await?;
    cluster.create_account("infertally-syncer").await?;
    let sim = Sim::start(SimConfig::default()).await?;
    let a = Endpoint::start(&sim).await?;
    a.send(1).await?;
    cluster.apply_object(&slice("infertally-envoy-a", &a, true)).await?;
    let syncer = syncer(&cluster, "infertally-syncer", "default/infertally-envoy:stats").await?;
    let words = "User \"system:serviceaccount:default:infertally-syncer\" cannot list resource \"endpointslices\" in API group \
                 \"discovery.k8s.io\" in the namespace \"default\"; k8s/base/envoy-service has the Role";
    eventually(async || {
        // The log escapes quotation marks.
        let log = syncer.log().replace("\\\"", "\"");
        if log.contains(words) { Ok(()) } else { Err(log.into()) }
    })
    .await?;
    // It serves what it can.
    is_ready(&syncer).await?;
    // The permission is noticed when it is granted.
    cluster.apply_file("k8s/base/envoy-service/rbac.yaml").await?;
    syncer.shows(&[&a.requests(1)], &[]).await?;
    Ok(())
}
