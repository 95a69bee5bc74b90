//! `make demo`: the whole product, with simulated model servers and mixed traffic, and what comes out held against what
//! was sent.

mod demo;
mod served;
mod table;
mod traffic;

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    match demo::run(demo::Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}
