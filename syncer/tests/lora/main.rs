//! The LoRA role as a process before a simulated vLLM: what it asks for, in order, and what its page says.

mod adapters;
mod files;
mod modes;
mod servers;
mod stage;
