//! Generates `k8s/envoy/envoy.yaml`.

use infertally_harness::repository;
use infertally_manifests::{Result, standalone};

fn main() -> Result<()> {
    std::fs::write(repository(standalone::FILE), standalone::generated()?)?;
    println!("{}: generated", standalone::FILE);
    Ok(())
}
