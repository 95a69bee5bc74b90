//! Real Envoys with the filter, the real syncer, and a real Prometheus that scrapes it. Whatever is restarted,
//! `increase()` in Prometheus equals what was sent.
//!
//! No exporter can provide exchanges that ended after the last scrape of a process that died, or the first value of a
//! series to `increase()`. Tests therefore wait for a scrape before they kill a process, and count from existing series.

mod discovered;
mod observer;
mod one;
mod requests;
mod setup;
mod several;
mod syncer;
