//! Finds the pool's pods, and Envoys. Each source is a task that sends [`Discovered`](crate::target::Discovered): the whole
//! set of targets whenever it changes, or why it cannot be known. A receiver keeps its last targets through failures.

pub mod dns;
pub mod file;
pub mod kubernetes;
