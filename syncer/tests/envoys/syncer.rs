//! The syncer goes and comes back.

use crate::stage::{Stage, expected, send};

#[tokio::test]
async fn a_syncer_that_restarts_changes_no_value() {
    let stage = Stage::start().await;
    let envoy = stage.envoy().await;
    let mut watched = stage.watch(&[envoy.admin()]).await;
    let mut sent = send(&envoy, 1).await;
    let from = watched.stand(&expected(&sent)).await;

    let mut more = send(&envoy, 5).await;
    watched.rose(from, &expected(&more)).await;
    // Asked to end, and killed; each time there are requests that it does not see.
    assert!(watched.syncer.take().unwrap().terminate().await.unwrap().success());
    more.extend(send(&envoy, 5).await);
    watched.start_syncer(&[envoy.admin()]).await;
    watched.rose(from, &expected(&more)).await;
    drop(watched.syncer.take());
    more.extend(send(&envoy, 5).await);
    watched.start_syncer(&[envoy.admin()]).await;
    more.extend(send(&envoy, 5).await);

    let window = watched.rose(from, &expected(&more)).await;
    watched.never_fell(window).await;
    sent.extend(more);
    watched.stand(&expected(&sent)).await;
}
