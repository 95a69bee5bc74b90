//! Tests of several pools with a real API server: one syncer for pools in several namespaces, with the documented
//! permissions, and the documented overlay for a second syncer, in the same and in another namespace.
#![allow(clippy::unwrap_used, reason = "a failed helper fails the test")]

use std::path::PathBuf;
use std::process::Command;

use infertally_harness::client::{exchange, request};
use infertally_harness::page::{Load, small};
use infertally_harness::{Behaviour, Pod, Syncer, eventually, repository};
use infertally_kube::objects::PoolVersion::{V1, V1Alpha2};
use infertally_kube::{Cluster, Result};
use infertally_manifests::yaml::text;
use infertally_manifests::{kustomize, overlays, pods};
use serde_json::Value;

const LOAD: Load = Load {
    waiting: 3.0,
    running: 1.0,
    kv_cache: 0.25,
};

/// Objects of an overlay that the cluster, which has no CRDs of the Prometheus operator, does know.
async fn apply(cluster: &Cluster, objects: &[Value]) -> Result<()> {
    for object in objects.iter().filter(|object| object["kind"] != "ServiceMonitor") {
        cluster.apply_object(object).await?;
    }
    Ok(())
}

/// Starts the Deployment's syncer as its account: with its arguments and variables, on a free port, and with a text log.
async fn start(cluster: &Cluster, objects: &[Value], variables: &[(&str, &str)]) -> Result<Syncer> {
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
    let pod = pods::template(deployment).unwrap();
    let container = pods::containers(pod).next().unwrap();
    let namespace = text(deployment, "/metadata/namespace");
    let token = cluster.token(namespace, text(pod, "/spec/serviceAccountName")).await?;
    let kubeconfig = cluster.kubeconfig(&token)?;
    // A pod's own namespace comes from its account.
    let config = std::fs::read_to_string(&kubeconfig)?;
    std::fs::write(
        &kubeconfig,
        config.replace("namespace: default", &format!("namespace: {namespace}")),
    )?;
    let binary = std::env::var_os("INFERTALLY_SYNCER").map(PathBuf::from);
    let binary = binary.ok_or("INFERTALLY_SYNCER is not set: run these tests with `make test-kube`")?;
    let list = |name: &str| container[name].as_array().into_iter().flatten();
    Syncer::start(
        Command::new(binary)
            .args(list("args").filter_map(Value::as_str))
            .envs(list("env").map(|variable| (text(variable, "/name"), text(variable, "/value"))))
            .env("KUBECONFIG", kubeconfig)
            .env("INFERTALLY_LISTEN", "127.0.0.1:0")
            .env("INFERTALLY_LOG_FORMAT", "text")
            .envs(variables.iter().copied()),
    )
    .await
}

/// The status and the page for a token.
async fn scrape(syncer: &Syncer, token: &str) -> Result<(u16, String)> {
    let bearer = format!("Bearer {token}");
    let request = request("GET", "/metrics", &[("authorization", &bearer)], b"");
    let response = exchange(syncer.address(), &request, usize::MAX).await?.response;
    Ok((response.status, String::from_utf8_lossy(&response.body).into_owned()))
}

async fn wait_for_line(syncer: &Syncer, token: &str, line: &str) -> Result<()> {
    eventually(async || {
        let (status, page) = scrape(syncer, token).await?;
        let found = page.lines().any(|found| found == line);
        let log = syncer.log();
        found
            .then_some(())
            .ok_or_else(|| format!("{status}, without {line} in:\n{page}\n{log}").into())
    })
    .await
}

#[tokio::test]
async fn the_overlay_for_a_second_syncer_works_in_the_same_and_in_another_namespace() -> Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install(V1).await?;
    let server = Pod::start(Behaviour::Page(small(LOAD))).await?;
    cluster.create_namespace("inference").await?;
    cluster.create_account("default").await?;
    for namespace in ["default", "inference"] {
        for pool in ["vllm", "my-pool"] {
            cluster.put_pool_in(namespace, V1, pool, pool, &[server.port()]).await?;
            let pod = format!("{pool}-0");
            cluster.create_ready_pod_in(namespace, &pod, pool, "127.0.0.1").await?;
        }
    }
    let first = kustomize::build(&repository("k8s/base"))?;
    apply(&cluster, &first).await?;
    let secret = "inference-gateway-sa-metrics-reader-secret";
    cluster.fill_token_secret("default", secret).await?;
    let overlay = overlays::with("nameSuffix: -other")?.text;
    for namespace in ["default", "inference"] {
        let overlay = overlay.replace("namespace: inference", &format!("namespace: {namespace}"));
        let second = overlays::build(&overlay)?;
        apply(&cluster, &second).await?;
        // The token controller, too, goes by the account that the Secret's annotation names.
        let own_secret = format!("{secret}-other");
        cluster.fill_token_secret(namespace, &own_secret).await?;
        let token = cluster.token_in_secret(namespace, &own_secret).await?;
        let syncer = start(&cluster, &second, &[("INFERTALLY_KUBERNETES", "my-pool")]).await?;
        wait_for_line(&syncer, &token, r#"inference_pool_ready_pods{name="my-pool"} 1"#).await?;
        // The second one takes nothing from the first one.
        let token = cluster.token_in_secret("default", secret).await?;
        let syncer = start(&cluster, &first, &[]).await?;
        wait_for_line(&syncer, &token, r#"inference_pool_ready_pods{name="vllm"} 1"#).await?;
    }
    Ok(())
}

#[tokio::test]
async fn one_syncer_follows_the_pools_of_several_namespaces() -> Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install(V1).await?;
    cluster.install(V1Alpha2).await?;
    let server = Pod::start(Behaviour::Page(small(LOAD))).await?;
    let port = [server.port()];
    for (namespace, version, pool) in [
        ("inference", V1, "chat"),
        ("team-a", V1Alpha2, "chat"),
        ("team-b", V1, "chat"),
    ] {
        cluster.create_namespace(namespace).await?;
        cluster.put_pool_in(namespace, version, pool, "vllm", &port).await?;
        cluster
            .create_ready_pod_in(namespace, "vllm-0", "vllm", "127.0.0.1")
            .await?;
    }
    let objects = overlays::build(&overlays::with("base/all-namespaces")?.text)?;
    apply(&cluster, &objects).await?;
    let secret = "inference-gateway-sa-metrics-reader-secret";
    cluster.fill_token_secret("inference", secret).await?;
    let token = cluster.token_in_secret("inference", secret).await?;
    // The flags of the document: "*,team-a/*,team-b/chat".
    let syncer = start(&cluster, &objects, &[]).await?;
    let queue = |namespace: &str, pool: &str| {
        format!(
            "inference_pool_per_pod_queue_size{{name=\"{pool}\",namespace=\"{namespace}\",model_server_pod=\"vllm-0\"}} 3"
        )
    };
    for namespace in ["inference", "team-a", "team-b"] {
        wait_for_line(&syncer, &token, &queue(namespace, "chat")).await?;
    }
    assert!(syncer.is_ready().await);

    // Pools that are created later, in a namespace of which all are followed.
    cluster.put_pool_in("team-a", V1, "code", "vllm", &port).await?;
    wait_for_line(&syncer, &token, &queue("team-a", "code")).await?;
    cluster.put_pool_in("team-b", V1, "code", "vllm", &port).await?;
    cluster.delete_pool_in("team-a", V1, "code").await?;
    eventually(async || {
        let (_, page) = scrape(&syncer, &token).await?;
        if page.contains("name=\"code\"") {
            Err(page.into())
        } else {
            Ok(())
        }
    })
    .await?;
    // A pool that a flag names stays, empty.
    cluster.delete_pool_in("team-b", V1, "chat").await?;
    let empty = r#"inference_pool_ready_pods{name="chat",namespace="team-b"} 0"#;
    wait_for_line(&syncer, &token, empty).await?;
    Ok(())
}

#[tokio::test]
async fn a_namespace_without_permission_holds_up_no_other_until_it_has_the_documented_role() -> Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install(V1).await?;
    let server = Pod::start(Behaviour::Page(small(LOAD))).await?;
    for namespace in ["inference", "team-b", "team-c"] {
        cluster.create_namespace(namespace).await?;
        cluster
            .put_pool_in(namespace, V1, "chat", "vllm", &[server.port()])
            .await?;
        cluster
            .create_ready_pod_in(namespace, "vllm-0", "vllm", "127.0.0.1")
            .await?;
    }
    let moved = overlays::with("- ../k8s/base\n- ../k8s/monitoring/operator/syncer")?;
    let objects = overlays::build(&moved.text)?;
    apply(&cluster, &objects).await?;
    let secret = "inference-gateway-sa-metrics-reader-secret";
    cluster.fill_token_secret("inference", secret).await?;
    let token = cluster.token_in_secret("inference", secret).await?;
    let pools = ("INFERTALLY_KUBERNETES", "chat,team-b/*,team-c/chat");
    let syncer = start(&cluster, &objects, &[pools]).await?;
    let ready = |namespace: &str| format!(r#"inference_pool_ready_pods{{name="chat",namespace="{namespace}"}} 1"#);
    wait_for_line(&syncer, &token, &ready("inference")).await?;
    eventually(async || match syncer.is_ready().await {
        true => Ok(()),
        false => Err("not ready".into()),
    })
    .await?;
    let (_, page) = scrape(&syncer, &token).await?;
    for (pool, namespace) in [("*", "team-b"), ("chat", "team-c")] {
        let age = format!("inference_pool_discovery_age_seconds{{name=\"{pool}\",namespace=\"{namespace}\"}} ");
        let age = page.lines().find_map(|line| line.strip_prefix(&age)).unwrap();
        assert!(age.parse::<f64>()? > 0.0, "{page}");
        // The text log escapes quotes.
        let message = format!("in the namespace \\\"{namespace}\\\"");
        assert!(syncer.log().contains(&message), "{}", syncer.log());
    }
    apply(&cluster, &overlays::build(&overlays::with("base/pool-reader")?.text)?).await?;
    wait_for_line(&syncer, &token, &ready("team-b")).await?;
    let age = r#"inference_pool_discovery_age_seconds{name="*",namespace="team-b"} 0"#;
    wait_for_line(&syncer, &token, age).await?;
    Ok(())
}
