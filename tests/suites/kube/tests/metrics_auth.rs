//! Tests of the syncer as a process with a real API server: the guide's ClusterRole, ServiceAccount and binding decide who can
//! scrape `/metrics`, and the pool comes from a real InferencePool.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed helper fails the test"
)]

use std::path::PathBuf;
use std::process::Command;

use infertally_harness::client::{Timed, exchange, get, request};
use infertally_harness::page::{Load, small};
use infertally_harness::repository;
use infertally_harness::{Behaviour, Pod, Syncer};
use infertally_kube::objects::PoolVersion::V1;
use infertally_kube::{Cluster, Result};
use infertally_manifests::yaml::text;
use infertally_manifests::{kustomize, pods};
use serde_json::Value;

/// The names that the guide uses.
const ACCOUNT: &str = "inference-gateway-sa-metrics-reader";
const SECRET: &str = "inference-gateway-sa-metrics-reader-secret";

const LOAD: Load = Load {
    waiting: 3.0,
    running: 1.0,
    kv_cache: 0.25,
};

struct System {
    cluster: Cluster,
    syncer: Syncer,
    /// The model server behind all pods.
    _server: Pod,
}

// === impl System ===

impl System {
    /// Starts a cluster with the shipped manifests and a pool of one pod, and the syncer with its own account.
    async fn start() -> Result<Self> {
        let cluster = Cluster::start().await?;
        let shipped = kustomize::build(&repository("k8s/base"))?;
        for object in &shipped {
            cluster.apply_object(object).await?;
        }
        cluster.fill_token_secret("default", SECRET).await?;
        cluster.install(V1).await?;
        let server = Pod::start(Behaviour::Page(small(LOAD))).await?;
        cluster.put_pool(V1, "vllm", "vllm", &[server.port()]).await?;
        cluster.create_ready_pod("vllm-0", "vllm", "127.0.0.1").await?;
        let token = cluster.token("default", "infertally-syncer").await?;
        let binary = std::env::var_os("INFERTALLY_SYNCER").map(PathBuf::from);
        let binary = binary.ok_or("INFERTALLY_SYNCER is not set: run these tests with `make test-kube`")?;
        // With the arguments of its Deployment, but on a free port, and with a text log that names the port.
        let pod = shipped.iter().find_map(pods::template).ok_or("no pod in k8s/base")?;
        let container = pods::containers(pod).next().ok_or("no container in the pod")?;
        let list = |name: &str| container[name].as_array().into_iter().flatten();
        let syncer = Syncer::start(
            Command::new(binary)
                .args(list("args").filter_map(Value::as_str))
                .envs(list("env").map(|variable| (text(variable, "/name"), text(variable, "/value"))))
                .env("KUBECONFIG", cluster.kubeconfig(&token)?)
                .env("INFERTALLY_LISTEN", "127.0.0.1:0")
                .env("INFERTALLY_LOG_FORMAT", "text"),
        )
        .await?;
        Ok(Self {
            cluster,
            syncer,
            _server: server,
        })
    }

    /// Requests `/metrics` with this token. Returns the status and the page.
    async fn get(&self, token: Option<&str>) -> Result<(u16, String)> {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        let Timed { response, .. } = exchange(
            self.syncer.address(),
            &request("GET", "/metrics", &headers, b""),
            usize::MAX,
        )
        .await?;
        let page = String::from_utf8_lossy(&response.body).into_owned();
        Ok((response.status, page))
    }

    async fn status(&self, token: Option<&str>) -> u16 {
        self.get(token).await.unwrap().0
    }

    /// Waits until the page for this token has this line.
    async fn wait_for_line(&self, token: &str, line: &str) -> Result<()> {
        infertally_harness::eventually(async || {
            let (status, page) = self.get(Some(token)).await?;
            let found = page.lines().any(|found| found == line);
            if found {
                Ok(())
            } else {
                Err(format!("{status}, without {line} in:\n{page}").into())
            }
        })
        .await
    }
}

#[tokio::test]
async fn only_the_guides_account_can_scrape() -> Result<()> {
    let system = System::start().await?;
    system.cluster.create_account("unprivileged").await?;
    let in_secret = system.cluster.token_in_secret("default", SECRET).await?;
    let short_lived = system.cluster.token("default", ACCOUNT).await?;
    let unprivileged = system.cluster.token("default", "unprivileged").await?;
    assert_eq!(system.status(Some(&in_secret)).await, 200);
    assert_eq!(system.status(Some(&short_lived)).await, 200);
    assert_eq!(system.status(Some(&unprivileged)).await, 403);
    assert_eq!(system.status(None).await, 401);
    assert_eq!(system.status(Some("made-up")).await, 401);
    // The same token with the signature of another one.
    let (unsigned, _) = in_secret.rsplit_once('.').unwrap();
    let (_, signature) = short_lived.rsplit_once('.').unwrap();
    assert_eq!(system.status(Some(&format!("{unsigned}.{signature}"))).await, 401);
    get(system.syncer.address(), "/healthz").await?;
    Ok(())
}

/// Runs the guide's commands verbatim, except that `kubectl port-forward` would need a kubelet: the port is the syncer's own
/// instead of 9090.
#[tokio::test]
async fn the_guides_commands_work_as_printed() -> Result<()> {
    let system = System::start().await?;
    let commands = r#"
TOKEN=$(kubectl -n default get secret inference-gateway-sa-metrics-reader-secret  -o jsonpath='{.secrets[0].name}' -o jsonpath='{.data.token}' | base64 --decode)
curl -H "Authorization: Bearer $TOKEN" localhost:9090/metrics
"#
    .replace("localhost:9090", &system.syncer.address().to_string());
    let kubectl = std::env::var_os("KUBECTL").map(PathBuf::from);
    let kubectl = kubectl.ok_or("KUBECTL is not set: run these tests with `make test-kube`")?;
    let path = std::env::var("PATH")?;
    let path = format!(
        "{}:{path}",
        kubectl.parent().ok_or("KUBECTL has no directory")?.display()
    );
    let ready = "\ninference_pool_ready_pods{name=\"vllm\"} 1\n";
    infertally_harness::eventually(async || {
        let mut bash = tokio::process::Command::new("bash");
        bash.args(["-euc", &commands]).env("PATH", &path);
        let output = bash
            .env("KUBECONFIG", system.cluster.admin_kubeconfig()?)
            .output()
            .await?;
        let page = String::from_utf8_lossy(&output.stdout).into_owned();
        if page.contains(ready) {
            Ok(())
        } else {
            Err(format!("{page}\n{}", String::from_utf8_lossy(&output.stderr)).into())
        }
    })
    .await
}

#[tokio::test]
async fn the_pool_is_served_during_a_restart_of_the_api_server() -> Result<()> {
    let mut system = System::start().await?;
    let token = system.cluster.token_in_secret("default", SECRET).await?;
    let queue = r#"inference_pool_per_pod_queue_size{name="vllm",model_server_pod="vllm-0"} 3"#;
    system.wait_for_line(&token, queue).await?;
    system
        .wait_for_line(&token, r#"inference_pool_ready_pods{name="vllm"} 1"#)
        .await?;

    system.cluster.stop_api_server().await?;
    let (status, page) = system.get(Some(&token)).await?;
    assert_eq!(status, 200, "a recent review stays valid");
    assert!(page.lines().any(|line| line == queue), "{page}");
    assert_eq!(system.status(Some("not-reviewed-yet")).await, 503);

    system.cluster.start_api_server().await?;
    system.cluster.create_ready_pod("vllm-1", "vllm", "127.0.0.1").await?;
    system
        .wait_for_line(&token, r#"inference_pool_ready_pods{name="vllm"} 2"#)
        .await?;
    system.cluster.finish_pod("vllm-0").await?;
    system.cluster.finish_pod("vllm-1").await?;
    system
        .wait_for_line(&token, r#"inference_pool_ready_pods{name="vllm"} 0"#)
        .await?;
    Ok(())
}
