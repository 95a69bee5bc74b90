//! What the meshes' own translators make of the shipped manifests, run in a real Envoy with the real filter: it must show
//! exactly the series that the shipped `envoy.yaml` shows for the same traffic.
//!
//! Envoy gets the rendered configuration but for what ties it to a control plane: what would be discovered is put in its
//! place, ports are free ones, the module is a local file, and the clusters lead to a simulated model server.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of a test fails it"
)]

mod envoy_gateway;
mod istio;
mod rendered;
mod same;
