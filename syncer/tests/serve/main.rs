//! The server over real sockets: what it answers, to whom, and what clients can't do to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of a test fails it"
)]

mod api_server;
mod certificates;
mod crowds;
mod ends;
mod http2;
mod kubernetes;
mod logs;
mod routes;
mod slow;
mod stage;
mod tls;
mod token;
