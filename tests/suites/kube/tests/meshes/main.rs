//! Tests of the shipped manifests with the translators of Istio and Envoy Gateway: a real Envoy with the rendered
//! configuration must have exactly the series that the shipped `envoy.yaml` has for the same traffic.
//!
//! The rendered configuration is changed only to run without a control plane: discovered resources are inlined, ports are
//! free ones, the module is a local file, and the clusters point to a simulated model server.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed helper fails the test"
)]

mod envoy_gateway;
mod istio;
mod parity;
mod rendered;
