//! The exposition formats against the programs that decide what they are: Prometheus and promtool, which
//! `scripts/test.sh` names in `PROMETHEUS` and `PROMTOOL`.

mod families;
mod lines;
mod pages;
mod prometheus;
