//! What must hold for every input: a function for each of the filter's byte readers and one for whole exchanges, and one
//! for what the syncer's LoRA role reads, its file and a server's models. Each takes any bytes and panics if a property is broken. `fuzz/` runs them under libFuzzer, `tests/smoke.rs` over
//! the corpus and a fixed number of mutations of it.
//!
//! ```text
//!  input ─▶ choices ─▶ body ─▶ json, sse, request, answer ─▶ (heap, infertally_oracle: what to compare with)
//!                  ├─▶ body ─▶ lora_config, lora_models
//!                  └─▶ program ─▶ exchange ─▶ stats
//!  captures, handmade ─▶ corpus ─▶ mutation ─▶ input
//! ```
//!
//! The first bytes of an input choose (the API, the content type, where to cut), the rest is what is read. Properties
//! hold the readers against themselves, cut in other places, and against slow readers that were written from the
//! formats' own words.

mod body;
mod choices;
pub mod corpus;
pub mod exchange;
mod handmade;
mod heap;
pub mod json;
pub mod lora_config;
pub mod lora_models;
pub mod mutation;
mod program;
pub mod request;
pub mod response;
pub mod sse;
mod stats;

/// A property and what it is called: by libFuzzer's target, by its folder of the corpus.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name.
    pub name: &'static str,
    /// Panics if the input breaks it.
    pub check: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 7] = [
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
];
