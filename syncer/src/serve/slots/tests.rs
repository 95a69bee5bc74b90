use std::time::Duration;

use tokio::time::{advance, timeout};

use super::*;

const LIMITS: fn() -> Limits = || Limits {
    connections: 3,
    eviction_grace: Duration::ZERO,
    header_timeout: Duration::from_secs(1),
    idle_timeout: Duration::from_secs(100),
    response_timeout: Duration::from_secs(10),
    ..Limits::default()
};

fn slots(limits: Limits) -> Arc<Slots> {
    Arc::new(Slots::new(limits, CancellationToken::new()))
}

/// A connection that holds its slot until it has to close; returns the reason.
fn connect(slot: &Arc<Slot>) -> AbortOnDropHandle<CloseReason> {
    let slot = Arc::clone(slot);
    AbortOnDropHandle::new(tokio::spawn(async move { slot.close_reason().await }))
}

async fn acquire(slots: &Slots) -> Arc<Slot> {
    Arc::new(slots.acquire().await.unwrap())
}

/// Lets all other tasks run until they wait.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_closes_when_no_first_request_arrives_within_the_header_timeout() {
    let slot = acquire(&slots(LIMITS())).await;
    let began = Instant::now();
    assert_eq!(slot.close_reason().await, CloseReason::Idle);
    assert_eq!(began.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_closes_when_it_is_idle_for_the_idle_timeout_after_a_response() {
    let slot = acquire(&slots(LIMITS())).await;
    let connection = connect(&slot);
    let request = slot.begin();
    assert!(!slot.is_idle());
    advance(Duration::from_secs(5)).await;
    drop(request);
    let began = Instant::now();
    assert_eq!(connection.await.unwrap(), CloseReason::Idle);
    assert_eq!(began.elapsed().as_secs(), 100);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_request_in_flight_sets_the_deadline() {
    let slot = acquire(&slots(LIMITS())).await;
    let began = Instant::now();
    let first = slot.begin();
    advance(Duration::from_secs(6)).await;
    let second = slot.begin();
    drop(first);
    assert!(!slot.is_idle());
    assert_eq!(slot.close_reason().await, CloseReason::Overdue);
    assert_eq!(began.elapsed().as_secs(), 16);
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn the_connection_idle_for_longest_is_evicted() {
    let slots = slots(LIMITS());
    let (busy, older, newer) = (acquire(&slots).await, acquire(&slots).await, acquire(&slots).await);
    let _request = busy.begin();
    let connections = [connect(&busy), connect(&older), connect(&newer)];
    settle().await;
    // From now on, `newer` has been idle for longer.
    drop(older.begin());
    settle().await;

    assert!(timeout(Duration::from_millis(1), slots.acquire()).await.is_err());
    let [busy_connection, older_connection, newer_connection] = connections;
    assert_eq!(newer_connection.await.unwrap(), CloseReason::Evicted);
    assert!(!busy_connection.is_finished() && !older_connection.is_finished());
    drop(newer);
    acquire(&slots).await;
}

#[tokio::test(start_paused = true)]
async fn one_connection_is_evicted_for_one_that_waits() {
    let slots = slots(LIMITS());
    let held = [acquire(&slots).await, acquire(&slots).await, acquire(&slots).await];
    let connections: Vec<_> = held.iter().map(connect).collect();
    settle().await;
    assert!(timeout(Duration::from_millis(500), slots.acquire()).await.is_err());
    assert_eq!(connections.iter().filter(|task| task.is_finished()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_waits_for_the_first_that_becomes_idle() {
    let slots = slots(Limits {
        connections: 1,
        ..LIMITS()
    });
    let slot = acquire(&slots).await;
    let connection = connect(&slot);
    let request = slot.begin();
    let waiting = tokio::spawn({
        let slots = Arc::clone(&slots);
        async move { slots.acquire().await.is_ok() }
    });
    settle().await;
    assert!(!connection.is_finished());
    drop(request);
    assert_eq!(connection.await.unwrap(), CloseReason::Evicted);
    drop(slot);
    assert!(waiting.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_eviction_that_is_no_longer_needed_is_withdrawn() {
    let slots = slots(Limits {
        connections: 2,
        ..LIMITS()
    });
    let (busy, other) = (acquire(&slots).await, acquire(&slots).await);
    let (request, _other_request) = (busy.begin(), other.begin());
    let connection = connect(&busy);
    let waiting = tokio::spawn({
        let slots = Arc::clone(&slots);
        async move { slots.acquire().await.is_ok() }
    });
    settle().await;
    drop((other, _other_request));
    assert!(waiting.await.unwrap());
    drop(request);
    settle().await;
    assert!(!connection.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_is_not_evicted_before_it_could_send_a_request() {
    let grace = Duration::from_millis(50);
    let slots = slots(Limits {
        connections: 1,
        eviction_grace: grace,
        ..LIMITS()
    });
    let slot = acquire(&slots).await;
    let began = Instant::now();
    let _waiting = tokio::spawn({
        let slots = Arc::clone(&slots);
        async move { slots.acquire().await.is_ok() }
    });
    assert_eq!(slot.close_reason().await, CloseReason::Evicted);
    assert!(began.elapsed() >= grace);
}

#[tokio::test(start_paused = true)]
async fn shutdown_reaches_idle_and_busy_connections() {
    let shutdown = CancellationToken::new();
    let slots = Slots::new(LIMITS(), shutdown.clone());
    let (idle, busy) = (acquire(&slots).await, acquire(&slots).await);
    let _request = busy.begin();
    shutdown.cancel();
    assert_eq!(idle.close_reason().await, CloseReason::Shutdown);
    assert_eq!(busy.close_reason().await, CloseReason::Shutdown);
}
