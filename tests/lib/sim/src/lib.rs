//! Two small model servers for tests, the demo and benches.
//!
//! * [`Sim`] serves the OpenAI routes as vLLM 0.32 does. The request header `x-sim` injects faults (`behaviour.rs` lists
//!   its keys), so tests that run side by side can share one server. Every 2xx inference response reports its model and
//!   token counts in `x-sim-model`, `x-sim-prompt-tokens` and `x-sim-completion-tokens`, which tests compare metrics with.
//! * [`Replay`] sends responses captured from a real server, byte for byte.
//!
//! Clients that cannot send the header, such as the LoRA role, get the behaviour set by [`Sim::set_behaviour`] or by the
//! path of the adapter they load. [`Sim::received_requests`] lists their requests. Adapters are loaded and unloaded by the
//! requests of vLLM or, as [`SimConfig::adapter_api`] says, of SGLang.
//!
//! Imports go one way:
//!
//! ```text
//!  server ─▶ app ─▶ inference, response, sglang, models, route, path_behaviours, request_log
//!      inference ─▶ stream, body_builder, completion, body
//!           body ─▶ metrics ─▶ inference_request ─▶ pydantic ─▶ api_error
//! ```
//!
//! `behaviour`, `clock`, `config`, `listener`, `socket` and `step` import nothing of the rest. `replay` imports only
//! `listener`.

mod api_error;
mod app;
mod behaviour;
mod body;
mod body_builder;
mod clock;
mod completion;
mod config;
mod inference;
mod inference_request;
mod listener;
mod metrics;
mod models;
mod path_behaviours;
mod pydantic;
mod replay;
mod request_log;
mod response;
mod route;
mod server;
mod sglang;
mod socket;
mod step;
mod stream;

pub use behaviour::BehaviourErrors;
pub use config::{AdapterApi, SimConfig};
pub use replay::{Replay, ReplayConfig};
pub use request_log::ReceivedRequest;
pub use server::Sim;
