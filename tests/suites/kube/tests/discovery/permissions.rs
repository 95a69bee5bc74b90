//! Permissions of discovery: those in `k8s/base/rbac.yaml` are enough, and without them it reports what is missing.

use infertally_kube::objects::PoolVersion::V1;
use infertally_kube::{Cluster, Result};

use crate::observer::Observer;

#[tokio::test]
async fn the_shipped_role_is_sufficient_and_required() -> Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install(V1).await?;
    cluster.put_pool(V1, "chat", "vllm", &[8000]).await?;
    cluster.create_ready_pod("vllm-0", "vllm", "10.0.0.1").await?;
    cluster.apply_file("k8s/base/rbac.yaml").await?;
    cluster.create_account("unprivileged").await?;

    let syncer = cluster.token("default", "infertally-syncer").await?;
    Observer::start(cluster.config(&syncer).await?)
        .wait_for_names(&["vllm-0"])
        .await;

    let unprivileged = cluster.token("default", "unprivileged").await?;
    let mut observer = Observer::start(cluster.config(&unprivileged).await?);
    let words = "User \"system:serviceaccount:default:unprivileged\" cannot list resource \"inferencepools\"";
    observer.wait_for_failure(words).await;
    assert_eq!(observer.targets, None);

    let mut observer = Observer::start(cluster.config("no-token-at-all").await?);
    observer
        .wait_for_failure("does not accept the syncer's credentials: Unauthorized")
        .await;
    assert_eq!(observer.targets, None);
    Ok(())
}

#[tokio::test]
async fn permissions_granted_later_are_noticed() -> Result<()> {
    let cluster = Cluster::start().await?;
    cluster.install(V1).await?;
    cluster.put_pool(V1, "chat", "vllm", &[8000]).await?;
    cluster.create_ready_pod("vllm-0", "vllm", "10.0.0.1").await?;
    cluster.create_account("infertally-syncer").await?;
    let token = cluster.token("default", "infertally-syncer").await?;
    let mut observer = Observer::start(cluster.config(&token).await?);
    observer.wait_for_failure("is forbidden").await;
    cluster.apply_file("k8s/base/rbac.yaml").await?;
    observer.wait_for_names(&["vllm-0"]).await;
    Ok(())
}
