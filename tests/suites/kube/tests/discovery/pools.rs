//! Pools of both API versions and the lifecycle of their pods.

use infertally_kube::objects::PoolVersion::{V1, V1Alpha2};
use infertally_kube::{Cluster, Result};
use serde_json::json;

use crate::observer::Observer;

#[tokio::test]
async fn crds_installed_later_are_noticed_and_v1_takes_precedence_over_v1alpha2() -> Result<()> {
    let cluster = Cluster::start().await?;
    cluster.create_ready_pod("old-0", "old", "10.0.0.1").await?;
    cluster.create_ready_pod("new-0", "new", "10.0.0.2").await?;
    let mut observer = Observer::start(cluster.admin_config().await?);
    observer
        .wait_until_unknown("v1alpha2: the API server does not serve it")
        .await;

    cluster.install(V1Alpha2).await?;
    cluster.put_pool(V1Alpha2, "chat", "old", &[8000]).await?;
    observer.wait_for_names(&["old-0"]).await;
    assert_eq!(observer.urls(), ["http://10.0.0.1:8000/"]);

    cluster.install(V1).await?;
    cluster.put_pool(V1, "chat", "new", &[8000]).await?;
    observer.wait_for_names(&["new-0"]).await;

    cluster.delete_pool(V1, "chat").await?;
    observer.wait_for_names(&["old-0"]).await;
    cluster.delete_pool(V1Alpha2, "chat").await?;
    observer.wait_until_unknown("v1: not found").await;
    Ok(())
}

#[tokio::test]
async fn discovery_follows_every_change_of_the_pool_and_its_pods() -> Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install(V1).await?;
    cluster.put_pool(V1, "chat", "vllm", &[8000]).await?;
    let mut observer = Observer::start(cluster.admin_config().await?);
    observer.wait_for_names(&[]).await;

    cluster.create_pod("vllm-0", "vllm").await?;
    observer.wait_for_names(&["!vllm-0"]).await;
    assert_eq!(observer.urls(), [""], "no address yet");
    cluster.set_status("vllm-0", "10.0.0.1", true).await?;
    cluster.create_ready_pod("vllm-1", "vllm", "fd00::2").await?;
    cluster.create_ready_pod("other-0", "other", "10.0.0.3").await?;
    observer.wait_for_names(&["vllm-0", "vllm-1"]).await;
    assert_eq!(observer.urls(), ["http://10.0.0.1:8000/", "http://[fd00::2]:8000/"]);

    cluster.set_status("vllm-0", "10.0.0.1", false).await?;
    observer.wait_for_names(&["!vllm-0", "vllm-1"]).await;
    cluster.delete_pod("vllm-1").await?;
    observer.wait_for_names(&["!vllm-0", "!vllm-1"]).await;
    cluster.finish_pod("vllm-1").await?;
    observer.wait_for_names(&["!vllm-0"]).await;

    cluster.put_pool(V1, "chat", "other", &[8000, 8001]).await?;
    observer.wait_for_names(&["other-0-rank-0", "other-0-rank-1"]).await;
    cluster.delete_pool(V1, "chat").await?;
    observer.wait_until_unknown("v1: not found").await;
    cluster.put_pool(V1, "chat", "vllm", &[9000]).await?;
    observer.wait_for_names(&["!vllm-0"]).await;
    assert_eq!(observer.urls(), ["http://10.0.0.1:9000/"]);
    Ok(())
}

#[tokio::test]
async fn annotations_of_a_running_pod_move_its_metrics() -> Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install(V1).await?;
    cluster.put_pool(V1, "chat", "vllm", &[8000, 8001]).await?;
    cluster.create_ready_pod("vllm-0", "vllm", "10.0.0.1").await?;
    let mut observer = Observer::start(cluster.admin_config().await?);
    observer.wait_for_names(&["vllm-0-rank-0", "vllm-0-rank-1"]).await;

    let own = json!({"prometheus.io/port": "8002", "prometheus.io/scheme": "https", "prometheus.io/path": "/m"});
    cluster.annotate_pod("vllm-0", own).await?;
    observer.wait_for_names(&["vllm-0"]).await;
    assert_eq!(observer.urls(), ["https://10.0.0.1:8002/m"]);

    cluster
        .annotate_pod(
            "vllm-0",
            json!({"prometheus.io/port": "none", "prometheus.io/path": null}),
        )
        .await?;
    observer.wait_for_names(&["vllm-0-rank-0", "vllm-0-rank-1"]).await;
    assert_eq!(observer.urls(), ["https://10.0.0.1:8000/", "https://10.0.0.1:8001/"]);
    Ok(())
}
