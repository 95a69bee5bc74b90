//! Fetches metrics pages from model servers and Envoys: [`fetch`] reads one page within limits, [`schedule`] spreads the
//! scrapes of many targets over the interval. Keeps nothing of what it reads and knows no metric.

pub mod fetch;
pub mod schedule;
