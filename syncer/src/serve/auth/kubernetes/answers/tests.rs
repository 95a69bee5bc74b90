use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;

use super::*;
use crate::serve::hash::sha256;

const LONG: Duration = Duration::from_secs(600);

type Answer = Result<(), Refusal>;

async fn learn(answers: &Answers, token: &str, answer: Answer, keep: Duration) {
    let slot = answers.slot(sha256(token.as_bytes()));
    assert_eq!(slot.get_or_ask(async || (answer, keep)).await, answer, "{token}");
}

/// What is said without asking.
async fn known(answers: &Answers, token: &str) -> Option<Answer> {
    let asked = AtomicUsize::new(0);
    let slot = answers.slot(sha256(token.as_bytes()));
    let answer = slot
        .get_or_ask(async || {
            asked.fetch_add(1, Ordering::Relaxed);
            (Err(Refusal::Unavailable), Duration::ZERO)
        })
        .await;
    (asked.into_inner() == 0).then_some(answer)
}

#[tokio::test]
async fn each_answer_is_kept_for_its_token() {
    let answers = Answers::default();
    learn(&answers, "a", Ok(()), LONG).await;
    learn(&answers, "b", Err(Refusal::Forbidden), LONG).await;
    assert_eq!(known(&answers, "a").await, Some(Ok(())));
    assert_eq!(known(&answers, "b").await, Some(Err(Refusal::Forbidden)));
    assert_eq!(known(&answers, "c").await, None);
}

#[tokio::test]
async fn an_answer_ends_with_its_time() {
    let answers = Answers::default();
    learn(&answers, "a", Ok(()), Duration::ZERO).await;
    assert_eq!(known(&answers, "a").await, None);
}

#[tokio::test]
async fn who_comes_while_another_asks_waits_for_its_answer() {
    let answers = Answers::default();
    let asked = AtomicUsize::new(0);
    let checks = (0..20).map(|_| {
        let slot = answers.slot(sha256(b"a"));
        let asked = &asked;
        async move {
            slot.get_or_ask(async || {
                asked.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                (Ok(()), LONG)
            })
            .await
        }
    });
    assert!(join_all(checks).await.into_iter().all(|answer| answer.is_ok()));
    assert_eq!(asked.into_inner(), 1);
}

#[tokio::test]
async fn who_asks_and_goes_away_leaves_it_to_the_next() {
    let answers = Answers::default();
    let slot = answers.slot(sha256(b"a"));
    {
        let gone = std::pin::pin!(slot.get_or_ask(async || std::future::pending().await));
        assert!(futures::poll!(gone).is_pending());
    }
    assert_eq!(slot.get_or_ask(async || (Ok(()), LONG)).await, Ok(()));
}

#[tokio::test]
async fn guesses_do_not_drive_out_what_may_read() {
    let answers = Answers::default();
    learn(&answers, "scraper", Ok(()), LONG).await;
    for guess in 0..3 * SLOTS {
        learn(&answers, &format!("guess {guess}"), Err(Refusal::Unauthorized), LONG).await;
    }
    assert!(answers.slots.lock().unwrap().len() <= SLOTS);
    assert_eq!(known(&answers, "scraper").await, Some(Ok(())));
}

#[tokio::test]
async fn even_permissions_are_bounded() {
    let answers = Answers::default();
    for token in 0..=SLOTS {
        learn(&answers, &format!("token {token}"), Ok(()), LONG).await;
    }
    assert_eq!(answers.slots.lock().unwrap().len(), SLOTS);
    assert_eq!(known(&answers, &format!("token {SLOTS}")).await, Some(Ok(())));
}
