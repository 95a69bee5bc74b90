//! Two small model servers for tests, the demo and benches.
//!
//! * [`Sim`] answers the OpenAI routes as vLLM 0.32 does and takes its faults from the request itself: the header
//!   `x-sim` names them (see [`Behaviour`]), so tests that run side by side share one server. Every 2xx inference
//!   answer tells in `x-sim-model`, `x-sim-prompt-tokens` and `x-sim-completion-tokens` what was decided, which is
//!   what a measurement of that answer is held against.
//! * [`Replay`] sends answers that were captured from a real server, byte for byte.
//!
//! Who sends no header, as one that manages adapters, gets what [`Sim::always`] says or an adapter's path; what it called
//! stands in [`Sim::calls`].
//!
//! Imports go one way: `server` → `routes` → (`inference`, `lora`, `metrics`, `standing`, `journal`) → `stream`, `answer`, `request` →
//! `behaviour`, `body`, `socket`, `api_error`, `lax`. `replay` shares only `listen` with the rest.

mod answer;
mod api_error;
pub mod behaviour;
mod body;
mod clock;
mod inference;
mod journal;
mod listen;
mod lora;
mod metrics;
mod pieces;
mod pydantic;
pub mod replay;
mod reply;
mod request;
mod route;
mod routes;
mod server;
mod socket;
mod standing;
mod stream;

pub use behaviour::Behaviour;
pub use journal::Call;
pub use replay::{Replay, ReplayConfig};
pub use server::{Sim, SimConfig};
