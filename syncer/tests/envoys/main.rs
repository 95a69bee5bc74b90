//! Real Envoys with the filter, the real syncer, and a real Prometheus that scrapes it: whatever is restarted, what
//! Prometheus computes with `increase()` equals what was sent.
//!
//! What no exporter can give is left to Prometheus: exchanges that ended after the last scrape of a process that died, and
//! the value with which a series is first seen. So each test lets Prometheus see what was sent before it kills, and begins
//! to count at series that are there.

mod one;
mod several;
mod stage;
mod syncer;
mod watched;
