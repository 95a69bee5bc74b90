use std::time::Duration;

use tokio::time::timeout;

use super::*;

fn connections(limit: usize) -> Arc<Connections> {
    Arc::new(Connections::new(Limits {
        connections: limit,
        settle: Duration::ZERO,
        ..Limits::default()
    }))
}

/// Whether a place is given now, or after all that can be done now.
async fn is_admitted(connections: &Arc<Connections>) -> bool {
    timeout(Duration::from_millis(1), connections.admit()).await.is_ok()
}

#[tokio::test]
async fn the_longest_idle_connection_makes_room() {
    let connections = connections(3);
    let busy = connections.admit().await;
    let _exchange = busy.activity().begin();
    let older = connections.admit().await;
    let newer = connections.admit().await;
    drop(older.activity().begin());

    assert!(!is_admitted(&connections).await);
    assert!(!busy.activity().is_told());
    assert!(!older.activity().is_told(), "it was active after the other");
    assert!(newer.activity().is_told());

    drop(newer);
    connections.admit().await;
}

#[tokio::test]
async fn one_goes_for_one_that_comes() {
    let connections = connections(3);
    let places = [
        connections.admit().await,
        connections.admit().await,
        connections.admit().await,
    ];
    for _ in 0..5 {
        assert!(!is_admitted(&connections).await);
    }
    assert_eq!(places.iter().filter(|place| place.activity().is_told()).count(), 1);
}

#[tokio::test]
async fn when_all_are_busy_the_new_one_waits_for_the_first_that_is_done() {
    let connections = connections(1);
    let place = connections.admit().await;
    let exchange = place.activity().begin();
    let waiting = tokio::spawn({
        let connections = Arc::clone(&connections);
        async move { connections.admit().await }
    });
    tokio::task::yield_now().await;
    assert!(!place.activity().is_told());
    drop(exchange);
    assert_eq!(place.activity().end().await, End::Evicted);
    drop(place);
    waiting.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_has_just_come_is_given_time_to_ask() {
    let settle = Duration::from_millis(50);
    let limits = Limits {
        connections: 1,
        settle,
        ..Limits::default()
    };
    let connections = Arc::new(Connections::new(limits));
    let place = connections.admit().await;
    let began = Instant::now();
    let _waiting = tokio::spawn({
        let connections = Arc::clone(&connections);
        async move { connections.admit().await }
    });
    assert_eq!(place.activity().end().await, End::Evicted);
    assert!(began.elapsed() >= settle / 2);
}

#[tokio::test]
async fn all_are_told_of_the_shutdown() {
    let connections = connections(2);
    let (idle, busy) = (connections.admit().await, connections.admit().await);
    let _exchange = busy.activity().begin();
    connections.shut_down();
    assert_eq!(idle.activity().end().await, End::Shutdown);
    assert_eq!(busy.activity().end().await, End::Shutdown);
}
