//! An API server that is restarted, or dies: the last targets stay, and the watches go on with the new one.

use infertally_kube::objects::PoolVersion::V1;
use infertally_kube::{Cluster, Result};

use crate::told::Told;

#[tokio::test]
async fn watches_survive_an_api_server_that_restarts_or_dies() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    cluster.install(V1).await?;
    cluster.put_pool(V1, "chat", "vllm", &[8000]).await?;
    cluster.create_ready_pod("vllm-0", "vllm", "10.0.0.1").await?;
    let mut told = Told::by(cluster.admin_config().await?);
    told.names_are(&["vllm-0"]).await;

    cluster.stop_api_server().await?;
    told.fails("can't be reached").await;
    cluster.start_api_server().await?;
    told.names_are(&["vllm-0"]).await;
    cluster.create_ready_pod("vllm-1", "vllm", "10.0.0.2").await?;
    told.names_are(&["vllm-0", "vllm-1"]).await;

    cluster.kill_api_server();
    told.fails("can't be reached").await;
    cluster.start_api_server().await?;
    cluster.finish_pod("vllm-0").await?;
    told.names_are(&["vllm-1"]).await;
    cluster.put_pool(V1, "chat", "vllm", &[9000]).await?;
    told.urls_are(&["http://10.0.0.2:9000/"]).await;
    assert!(!told.was_empty, "a server that starts is not one without a pool");
    Ok(())
}
