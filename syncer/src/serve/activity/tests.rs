use std::time::Duration;

use super::*;

const LIMITS: fn() -> Limits = || Limits {
    head: Duration::from_secs(1),
    idle: Duration::from_secs(100),
    answer: Duration::from_secs(10),
    ..Limits::default()
};

fn activity() -> Arc<Activity> {
    Arc::new(Activity::new(LIMITS(), Arc::default()))
}

/// What the connection waits for, and how long from now at most.
fn waits_for(activity: &Activity) -> (End, u64) {
    let (deadline, end) = activity.next_deadline().unwrap();
    (
        end,
        deadline.duration_since(Instant::now()).as_millis().div_ceil(1000) as u64,
    )
}

#[test]
fn the_first_request_has_less_time_than_the_next() {
    let activity = activity();
    assert_eq!(waits_for(&activity), (End::Idle, 1));
    drop(activity.begin());
    assert_eq!(waits_for(&activity), (End::Idle, 100));
}

#[test]
fn the_oldest_exchange_sets_the_time() {
    let activity = activity();
    let first = activity.begin();
    let (of_first, end) = activity.next_deadline().unwrap();
    assert_eq!(end, End::Overdue);
    std::thread::yield_now();
    let second = activity.begin();
    assert_eq!(activity.next_deadline().unwrap().0, of_first);
    assert_eq!(activity.idle_since(), None);
    drop(first);
    assert_eq!(waits_for(&activity), (End::Overdue, 10));
    assert!(activity.next_deadline().unwrap().0 > of_first);
    drop(second);
    assert_eq!(waits_for(&activity), (End::Idle, 100));
    assert!(activity.idle_since().is_some());
}

#[tokio::test]
async fn a_connection_that_waits_is_told_at_once() {
    let activity = activity();
    let waiting = tokio::spawn({
        let activity = Arc::clone(&activity);
        async move { activity.end().await }
    });
    tokio::task::yield_now().await;
    activity.tell(End::Evicted);
    assert_eq!(waiting.await.unwrap(), End::Evicted);
    assert!(activity.is_told());
}

#[tokio::test]
async fn an_exchange_that_begins_in_time_moves_the_end() {
    let limits = Limits {
        head: Duration::from_millis(5),
        ..LIMITS()
    };
    let activity = Arc::new(Activity::new(limits, Arc::default()));
    let waiting = tokio::spawn({
        let activity = Arc::clone(&activity);
        async move { activity.end().await }
    });
    let _exchange = activity.begin();
    let next = Activity::new(limits, Arc::default());
    assert_eq!(next.end().await, End::Idle, "the other one's time is over");
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test]
async fn who_waits_for_an_idle_connection_hears_of_it() {
    let became_idle = Arc::new(Notify::new());
    let activity = Arc::new(Activity::new(LIMITS(), Arc::clone(&became_idle)));
    drop(activity.begin());
    became_idle.notified().await;
}
