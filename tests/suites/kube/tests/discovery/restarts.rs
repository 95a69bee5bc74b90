//! Restarts and crashes of the API server: the last targets are kept, and the watches continue with the new process.

use infertally_kube::objects::PoolVersion::V1;
use infertally_kube::{Cluster, Result};

use crate::observer::Observer;

#[tokio::test]
async fn watches_survive_a_restart_and_a_crash_of_the_api_server() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    cluster.install(V1).await?;
    cluster.put_pool(V1, "chat", "vllm", &[8000]).await?;
    cluster.create_ready_pod("vllm-0", "vllm", "10.0.0.1").await?;
    let mut observer = Observer::start(cluster.admin_config().await?);
    observer.wait_for_names(&["vllm-0"]).await;

    cluster.stop_api_server().await?;
    observer.wait_for_failure("can't be reached").await;
    cluster.start_api_server().await?;
    observer.wait_for_names(&["vllm-0"]).await;
    cluster.create_ready_pod("vllm-1", "vllm", "10.0.0.2").await?;
    observer.wait_for_names(&["vllm-0", "vllm-1"]).await;

    cluster.kill_api_server();
    observer.wait_for_failure("can't be reached").await;
    cluster.start_api_server().await?;
    cluster.finish_pod("vllm-0").await?;
    observer.wait_for_names(&["vllm-1"]).await;
    cluster.put_pool(V1, "chat", "vllm", &[9000]).await?;
    observer.wait_for_urls(&["http://10.0.0.2:9000/"]).await;
    assert!(
        !observer.was_empty,
        "an API server that is starting must not look like one without a pool"
    );
    Ok(())
}
