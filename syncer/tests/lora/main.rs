//! The LoRA role as a process, with a simulated vLLM: the requests it sends, in order, and the metrics it serves.

mod adapters;
mod files;
mod modes;
mod servers;
mod support;
