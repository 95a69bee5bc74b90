//! Discovery from Kubernetes against a mock API server: whatever happens to the pool, its pods and the server, the targets
//! are the pool's, or the last known ones with an error.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests panic on failure"
)]

mod api;
mod failures;
mod pods;
mod pools;
mod query;
mod response;
mod services;
mod setup;
mod several;
mod watches;
