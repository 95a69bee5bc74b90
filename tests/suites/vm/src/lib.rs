//! Runs the built filter, `infertally.wasm`, in an interpreter with a scripted Envoy.
//!
//! What crosses the boundary between Envoy and the VM is what a request costs, so this counts each crossing by its name, and
//! measures what is executed in between. Both depend on the file and on nothing else.

mod envoy;
mod exchange;

pub use envoy::{Costs, Vm};
pub use exchange::{Exchange, event, small_json, stream};

/// An error of the interpreter or of the filter, as text.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// The result of a step.
pub type Result<T> = std::result::Result<T, Error>;
