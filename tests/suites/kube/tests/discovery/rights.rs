//! What discovery may see: the rights in `k8s/base/rbac.yaml` are enough, and without them it says what is missing.

use infertally_kube::objects::PoolVersion::V1;
use infertally_kube::{Cluster, Result};

use crate::told::Told;

#[tokio::test]
async fn the_shipped_role_is_enough_and_none_is_not() -> Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install(V1).await?;
    cluster.put_pool(V1, "chat", "vllm", &[8000]).await?;
    cluster.create_ready_pod("vllm-0", "vllm", "10.0.0.1").await?;
    cluster.apply_file("k8s/base/rbac.yaml").await?;
    cluster.create_account("nobody").await?;

    let syncer = cluster.token("default", "infertally-syncer").await?;
    Told::by(cluster.config(&syncer).await?).names_are(&["vllm-0"]).await;

    let nobody = cluster.token("default", "nobody").await?;
    let mut told = Told::by(cluster.config(&nobody).await?);
    let words = "User \"system:serviceaccount:default:nobody\" cannot list resource \"inferencepools\"";
    told.fails(words).await;
    assert_eq!(told.targets, None);

    let mut told = Told::by(cluster.config("no-token-at-all").await?);
    told.fails("does not accept the syncer's credentials: Unauthorized")
        .await;
    assert_eq!(told.targets, None);
    Ok(())
}

#[tokio::test]
async fn rights_that_are_given_later_are_enough() -> Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install(V1).await?;
    cluster.put_pool(V1, "chat", "vllm", &[8000]).await?;
    cluster.create_ready_pod("vllm-0", "vllm", "10.0.0.1").await?;
    cluster.create_account("infertally-syncer").await?;
    let token = cluster.token("default", "infertally-syncer").await?;
    let mut told = Told::by(cluster.config(&token).await?);
    told.fails("is forbidden").await;
    cluster.apply_file("k8s/base/rbac.yaml").await?;
    told.names_are(&["vllm-0"]).await;
    Ok(())
}
