//! The exposition formats against Prometheus and promtool, whose paths `scripts/test.sh` sets in `PROMETHEUS` and
//! `PROMTOOL`.

mod families;
mod lines;
mod pages;
mod prometheus;
mod protobuf;
