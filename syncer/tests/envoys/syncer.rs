//! Restarts of the syncer.

use crate::setup::{Setup, expected, send};

#[tokio::test]
async fn a_restart_of_the_syncer_changes_no_value() {
    let setup = Setup::start().await;
    let envoy = setup.envoy().await;
    let mut observer = setup.observe(&[envoy.admin()]).await;
    let mut sent = send(&envoy, 1).await;
    let from = observer.wait_for_values(&expected(&sent)).await;

    let mut more = send(&envoy, 5).await;
    observer.wait_for_increase(from, &expected(&more)).await;
    // It is terminated, then killed, each time with requests while it is down.
    assert!(observer.syncer.take().unwrap().terminate().await.unwrap().success());
    more.extend(send(&envoy, 5).await);
    observer.start_syncer(&[envoy.admin()]).await;
    observer.wait_for_increase(from, &expected(&more)).await;
    drop(observer.syncer.take());
    more.extend(send(&envoy, 5).await);
    observer.start_syncer(&[envoy.admin()]).await;
    more.extend(send(&envoy, 5).await);

    let window = observer.wait_for_increase(from, &expected(&more)).await;
    observer.assert_no_resets(window).await;
    sent.extend(more);
    observer.wait_for_values(&expected(&sent)).await;
}
