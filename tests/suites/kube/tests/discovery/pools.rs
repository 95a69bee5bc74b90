//! Pools of both versions, and their pods from the first to the last.

use infertally_kube::objects::PoolVersion::{V1, V1Alpha2};
use infertally_kube::{Cluster, Result};

use crate::told::Told;

#[tokio::test]
async fn crds_that_come_later_are_noticed_and_v1_goes_before_v1alpha2() -> Result<()> {
    let cluster = Cluster::start().await?;
    cluster.create_ready_pod("old-0", "old", "10.0.0.1").await?;
    cluster.create_ready_pod("new-0", "new", "10.0.0.2").await?;
    let mut told = Told::by(cluster.admin_config().await?);
    told.is_unknown("v1alpha2: the API server does not serve it").await;

    cluster.install(V1Alpha2).await?;
    cluster.put_pool(V1Alpha2, "chat", "old", &[8000]).await?;
    told.names_are(&["old-0"]).await;
    assert_eq!(told.urls(), ["http://10.0.0.1:8000/"]);

    cluster.install(V1).await?;
    cluster.put_pool(V1, "chat", "new", &[8000]).await?;
    told.names_are(&["new-0"]).await;

    cluster.delete_pool(V1, "chat").await?;
    told.names_are(&["old-0"]).await;
    cluster.delete_pool(V1Alpha2, "chat").await?;
    told.is_unknown("v1: not found").await;
    Ok(())
}

#[tokio::test]
async fn pods_and_the_pool_are_followed_through_all_that_happens_to_them() -> Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install(V1).await?;
    cluster.put_pool(V1, "chat", "vllm", &[8000]).await?;
    let mut told = Told::by(cluster.admin_config().await?);
    told.names_are(&[]).await;

    cluster.create_pod("vllm-0", "vllm").await?;
    told.names_are(&["!vllm-0"]).await;
    assert_eq!(told.urls(), [""], "no address yet");
    cluster.set_status("vllm-0", "10.0.0.1", true).await?;
    cluster.create_ready_pod("vllm-1", "vllm", "fd00::2").await?;
    cluster.create_ready_pod("other-0", "other", "10.0.0.3").await?;
    told.names_are(&["vllm-0", "vllm-1"]).await;
    assert_eq!(told.urls(), ["http://10.0.0.1:8000/", "http://[fd00::2]:8000/"]);

    cluster.set_status("vllm-0", "10.0.0.1", false).await?;
    told.names_are(&["!vllm-0", "vllm-1"]).await;
    cluster.delete_pod("vllm-1").await?;
    told.names_are(&["!vllm-0", "!vllm-1"]).await;
    cluster.finish_pod("vllm-1").await?;
    told.names_are(&["!vllm-0"]).await;

    cluster.put_pool(V1, "chat", "other", &[8000, 8001]).await?;
    told.names_are(&["other-0-rank-0", "other-0-rank-1"]).await;
    cluster.delete_pool(V1, "chat").await?;
    told.is_unknown("v1: not found").await;
    cluster.put_pool(V1, "chat", "vllm", &[9000]).await?;
    told.names_are(&["!vllm-0"]).await;
    assert_eq!(told.urls(), ["http://10.0.0.1:9000/"]);
    Ok(())
}
