//! Makes the one manifest that is made.

use infertally_harness::repository;
use infertally_manifests::{Result, standalone};

fn main() -> Result<()> {
    std::fs::write(repository(standalone::FILE), standalone::made()?)?;
    println!("{}: made", standalone::FILE);
    Ok(())
}
