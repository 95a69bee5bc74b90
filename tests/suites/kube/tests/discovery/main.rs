//! Tests of discovery with a real API server, the official CRDs and pod objects. They confirm the behaviour that the mock
//! server of the syncer's own tests assumes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed helper fails the test"
)]

mod observer;
mod permissions;
mod pools;
mod restarts;
