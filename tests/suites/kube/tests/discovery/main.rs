//! Discovery on a real API server, with the official CRDs and real pods: what the mock in the syncer's own tests claims of
//! an API server, a real one says too.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of a test fails it"
)]

mod pools;
mod restarts;
mod rights;
mod told;
