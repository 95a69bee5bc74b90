//! Properties that hold for every input: one for each of the filter's byte readers, one for whole exchanges, and for what
//! the syncer reads: the pages of model servers and Envoys, pods, a targets file; and, in its LoRA role, the configuration
//! and a server's models and responses. Each takes any bytes and panics if it does not hold. `fuzz/fuzz_targets` runs them under libFuzzer; `tests/smoke.rs` runs them over the corpus and a fixed number
//! of mutations.
//!
//! ```text
//!  input ─▶ choices ─▶ body ─▶ json, sse, request, response ─▶ heap, infertally_oracle (what to compare with)
//!                  ├─▶ body ─▶ lora_config, lora_models, lora_responses, targets_file
//!                  ├─▶ body ─▶ metrics_page, envoy_page ─▶ heap
//!                  ├─▶ pods
//!                  │   (metrics_page, envoy_page, pods and targets_file ─▶ families: what is served of it)
//!                  └─▶ program ─▶ envoy ─▶ exchange ─▶ stats
//!  captures, handmade ─▶ corpus ─▶ mutation ─▶ input
//! ```
//!
//! The first bytes of an input choose the API, the content type and the cuts; the reader gets the rest. Properties compare
//! a reader with itself under other cuts, and with slow readers written from the specifications of the formats.

mod body;
mod choices;
pub mod corpus;
mod envoy;
pub mod envoy_page;
pub mod exchange;
mod families;
mod handmade;
mod heap;
pub mod json;
pub mod lora_config;
pub mod lora_models;
pub mod lora_responses;
pub mod metrics_page;
pub mod mutation;
pub mod pods;
mod program;
pub mod request;
pub mod response;
pub mod sse;
mod stats;
pub mod targets_file;

/// A property under the name of its libFuzzer target and of its directory in the corpus.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The file stem in `fuzz/fuzz_targets`.
    pub name: &'static str,
    /// Panics if the property does not hold for the input.
    pub check: fn(&[u8]),
}

/// Every target.
pub const TARGETS: [Target; 12] = [
    Target {
        name: "json",
        check: json::check,
    },
    Target {
        name: "sse",
        check: sse::check,
    },
    Target {
        name: "request",
        check: request::check,
    },
    Target {
        name: "response",
        check: response::check,
    },
    Target {
        name: "exchange",
        check: exchange::check,
    },
    Target {
        name: "lora_config",
        check: lora_config::check,
    },
    Target {
        name: "lora_models",
        check: lora_models::check,
    },
    Target {
        name: "lora_responses",
        check: lora_responses::check,
    },
    Target {
        name: "metrics_page",
        check: metrics_page::check,
    },
    Target {
        name: "envoy_page",
        check: envoy_page::check,
    },
    Target {
        name: "pods",
        check: pods::check,
    },
    Target {
        name: "targets_file",
        check: targets_file::check,
    },
];
