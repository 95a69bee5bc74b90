//! Discovery from Kubernetes, on a mock API server: whatever happens to the pool, its pods and the server, the targets that
//! are told are the pool's, or the last known ones with a word why.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of a test fails it"
)]

mod answer;
mod api;
mod failures;
mod pods;
mod pools;
mod query;
mod stage;
mod watches;
