//! Answers about tokens, kept for a short time: each until its own end, and never more than a cap.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::serve::auth::Refusal;
use crate::serve::hash::Sha256;

/// Few scrapers have a token; the rest is for those who guess. What may read goes last, so guesses don't drive it out.
const SLOTS: usize = 1024;

/// What is known of tokens, by their hash.
#[derive(Debug, Default)]
pub struct Answers {
    slots: Mutex<HashMap<Sha256, Arc<Slot>>>,
}

/// What is known of one token: nothing until the first who needs it has asked, while the others wait.
#[derive(Debug, Default)]
pub struct Slot {
    answer: OnceCell<(Result<(), Refusal>, Instant)>,
}

// === impl Answers ===

impl Answers {
    /// The token's slot: a new one if there is none, or if what is known of it is too old.
    pub fn slot(&self, token: Sha256) -> Arc<Slot> {
        let now = Instant::now();
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&token)
            && slot.is_current(now)
        {
            return Arc::clone(slot);
        }
        if slots.len() >= SLOTS {
            slots.retain(|_, slot| slot.is_current(now));
        }
        if slots.len() >= SLOTS
            && let Some(least) = slots
                .iter()
                .min_by_key(|(_, slot)| slot.worth())
                .map(|(token, _)| *token)
        {
            slots.remove(&least);
        }
        let slot = Arc::<Slot>::default();
        slots.insert(token, Arc::clone(&slot));
        slot
    }
}

// === impl Slot ===

impl Slot {
    /// The answer; if there is none yet, what `ask` says, and for how long.
    pub async fn get_or_ask(&self, ask: impl AsyncFnOnce() -> (Result<(), Refusal>, Duration)) -> Result<(), Refusal> {
        let asked = self.answer.get_or_init(async || {
            let (answer, keep) = ask().await;
            (answer, Instant::now() + keep)
        });
        asked.await.0
    }

    /// Whether the answer counts still, or is yet to come.
    fn is_current(&self, now: Instant) -> bool {
        self.answer.get().is_none_or(|(_, until)| now < *until)
    }

    /// The least worth goes first when there is no room: refusals, the oldest first; then answers to come; then
    /// permissions.
    fn worth(&self) -> (u8, Option<Instant>) {
        match self.answer.get() {
            Some((Err(_), until)) => (0, Some(*until)),
            None => (1, None),
            Some((Ok(()), until)) => (2, Some(*until)),
        }
    }
}

#[cfg(test)]
mod tests;
