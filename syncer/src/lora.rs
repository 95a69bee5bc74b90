//! The LoRA role: which adapters a server should hold, which it holds, and what is to be done. Pure: files, answers and
//! times in, calls and families of series out.
//!
//! ```text
//! bytes ─▶ config
//! ```

pub mod config;
