//! The LoRA role as a process, with a simulated vLLM: the requests it sends, in order, and the metrics it serves.

mod adapters;
mod files;
mod modes;
mod ports;
mod rollback;
mod roots;
mod servers;
mod sglang;
mod support;
