//! The HTTP server over real sockets: what it responds, who can scrape, and what clients cannot take from it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed helper fails the test"
)]

mod api_server;
mod certificates;
mod connections;
mod harness;
mod http2;
mod kubernetes_auth;
mod logs;
mod routes;
mod shutdown;
mod slow_clients;
mod tls;
mod token_auth;
