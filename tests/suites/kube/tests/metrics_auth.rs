//! The syncer as a process, on a real API server: who may read `/metrics` is what the guide's ClusterRole, ServiceAccount
//! and binding say, and the pool is the one of a real InferencePool.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of a test fails it"
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

/// The names that the guide gives.
const ACCOUNT: &str = "inference-gateway-sa-metrics-reader";
const SECRET: &str = "inference-gateway-sa-metrics-reader-secret";

const LOAD: Load = Load {
    waiting: 3.0,
    running: 1.0,
    kv_cache: 0.25,
};

struct Stage {
    cluster: Cluster,
    syncer: Syncer,
    /// The model server of all pods.
    _server: Pod,
}

// === impl Stage ===

impl Stage {
    /// A cluster with everything that is shipped for it, a pool of one pod, and the shipped syncer with its own account.
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
        let binary = binary.ok_or("INFERTALLY_SYNCER is not set: run these tests by `make test-kube`")?;
        // As its Deployment starts it, but on a port that is free, and with a log that says which.
        let pod = shipped.iter().find_map(pods::template).ok_or("no pod in k8s/base")?;
        let container = pods::containers(pod).next().ok_or("no container in it")?;
        let words = |name: &str| container[name].as_array().into_iter().flatten();
        let syncer = Syncer::start(
            Command::new(binary)
                .args(words("args").filter_map(Value::as_str))
                .envs(words("env").map(|variable| (text(variable, "/name"), text(variable, "/value"))))
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

    /// Asks for `/metrics` with this token; the status and the page.
    async fn get(&self, token: Option<&str>) -> Result<(u16, String)> {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        let Timed { response: answer, .. } = exchange(
            self.syncer.address(),
            &request("GET", "/metrics", &headers, b""),
            usize::MAX,
        )
        .await?;
        let page = String::from_utf8_lossy(&answer.body).into_owned();
        Ok((answer.status, page))
    }

    async fn status(&self, token: Option<&str>) -> u16 {
        self.get(token).await.unwrap().0
    }

    /// Until the page that this token's bearer gets has such a line.
    async fn shows(&self, token: &str, line: &str) -> Result<()> {
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
async fn the_guides_account_may_read_another_may_not_and_without_a_token_nobody_may() -> Result<()> {
    let stage = Stage::start().await?;
    stage.cluster.create_account("nobody").await?;
    let in_secret = stage.cluster.token_in_secret("default", SECRET).await?;
    let short_lived = stage.cluster.token("default", ACCOUNT).await?;
    let nobody = stage.cluster.token("default", "nobody").await?;
    assert_eq!(stage.status(Some(&in_secret)).await, 200);
    assert_eq!(stage.status(Some(&short_lived)).await, 200);
    assert_eq!(stage.status(Some(&nobody)).await, 403);
    assert_eq!(stage.status(None).await, 401);
    assert_eq!(stage.status(Some("made-up")).await, 401);
    // Signed by somebody else, and else the same.
    let (unsigned, _) = in_secret.rsplit_once('.').unwrap();
    let (_, signature) = short_lived.rsplit_once('.').unwrap();
    assert_eq!(stage.status(Some(&format!("{unsigned}.{signature}"))).await, 401);
    get(stage.syncer.address(), "/healthz").await?;
    Ok(())
}

/// The guide's commands as it prints them. Between them it has `kubectl port-forward`, which needs a kubelet: the port is
/// the syncer's own instead of 9090.
#[tokio::test]
async fn the_guides_commands_work_as_printed() -> Result<()> {
    let stage = Stage::start().await?;
    let commands = r#"
TOKEN=$(kubectl -n default get secret inference-gateway-sa-metrics-reader-secret  -o jsonpath='{.secrets[0].name}' -o jsonpath='{.data.token}' | base64 --decode)
curl -H "Authorization: Bearer $TOKEN" localhost:9090/metrics
"#
    .replace("localhost:9090", &stage.syncer.address().to_string());
    let kubectl = std::env::var_os("KUBECTL").map(PathBuf::from);
    let kubectl = kubectl.ok_or("KUBECTL is not set: run these tests by `make test-kube`")?;
    let path = std::env::var("PATH")?;
    let path = format!("{}:{path}", kubectl.parent().ok_or("no folder")?.display());
    let ready = "\ninference_pool_ready_pods{name=\"vllm\"} 1\n";
    infertally_harness::eventually(async || {
        let mut bash = tokio::process::Command::new("bash");
        bash.args(["-euc", &commands]).env("PATH", &path);
        let output = bash
            .env("KUBECONFIG", stage.cluster.admin_kubeconfig()?)
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
async fn the_pool_of_a_real_cluster_is_served_through_a_restart_of_its_api_server() -> Result<()> {
    let mut stage = Stage::start().await?;
    let token = stage.cluster.token_in_secret("default", SECRET).await?;
    let queue = r#"inference_pool_per_pod_queue_size{name="vllm",model_server_pod="vllm-0"} 3"#;
    stage.shows(&token, queue).await?;
    stage
        .shows(&token, r#"inference_pool_ready_pods{name="vllm"} 1"#)
        .await?;

    stage.cluster.stop_api_server().await?;
    let (status, page) = stage.get(Some(&token)).await?;
    assert_eq!(status, 200, "who was allowed a moment ago still is");
    assert!(page.lines().any(|line| line == queue), "{page}");
    assert_eq!(stage.status(Some("nobody-can-say")).await, 503);

    stage.cluster.start_api_server().await?;
    stage.cluster.create_ready_pod("vllm-1", "vllm", "127.0.0.1").await?;
    stage
        .shows(&token, r#"inference_pool_ready_pods{name="vllm"} 2"#)
        .await?;
    stage.cluster.finish_pod("vllm-0").await?;
    stage.cluster.finish_pod("vllm-1").await?;
    stage
        .shows(&token, r#"inference_pool_ready_pods{name="vllm"} 0"#)
        .await?;
    Ok(())
}
