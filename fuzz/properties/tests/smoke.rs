//! Every property over its seeds, its regressions and a fixed number of mutations: deterministic and without libFuzzer.
//! `make fuzz` searches further.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use infertally_fuzz::corpus::{regressions, root, seeds};
use infertally_fuzz::mutation::Mutator;
use infertally_fuzz::{TARGETS, Target};

/// Checks a target, with as many mutations as take a few seconds.
fn run(name: &str, mutations: usize) {
    let target = *TARGETS.iter().find(|target| target.name == name).unwrap();
    let seeds = seeds(name).unwrap();
    let regressions = regressions(name).unwrap();
    assert!(!seeds.is_empty());
    for seed in seeds.iter().chain(&regressions) {
        check(target, &seed.input, &seed.name);
    }
    let inputs: Vec<&[u8]> = seeds
        .iter()
        .chain(&regressions)
        .map(|seed| seed.input.as_slice())
        .collect();
    let mut mutator = Mutator::new(0x5eed);
    for number in 0..mutations {
        check(target, &mutator.mutate(&inputs), &format!("mutation {number}"));
    }
    say(&format!(
        "fuzz: {name}: {} seeds, {} regressions, {mutations} mutations: the property holds",
        seeds.len(),
        regressions.len()
    ));
}

/// Prints a line even for tests that pass: unlike `println`, the test harness does not capture it.
fn say(line: &str) {
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Saves an input that violates the property where libFuzzer would.
fn check(target: Target, input: &[u8], what: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.check)(input))) {
        let dir = root().join("fuzz/artifacts").join(target.name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("smoke"), input).unwrap();
        let name = target.name;
        say(&format!(
            "fuzz: {name}: violated by {what}, saved as fuzz/artifacts/{name}/smoke"
        ));
        resume_unwind(panic);
    }
}

#[test]
fn the_json_scanner_holds_its_property() {
    run("json", 30_000);
}

#[test]
fn the_sse_splitter_holds_its_property() {
    run("sse", 60_000);
}

#[test]
fn the_request_reader_holds_its_property() {
    run("request", 80_000);
}

#[test]
fn the_response_readers_hold_their_property() {
    run("response", 60_000);
}

#[test]
fn the_lora_config_parser_holds_its_property() {
    run("lora_config", 20_000);
}

#[test]
fn the_lora_models_parser_holds_its_property() {
    run("lora_models", 30_000);
}

#[test]
fn the_reader_of_lora_responses_holds_its_property() {
    run("lora_responses", 30_000);
}

#[test]
fn the_reader_of_model_servers_pages_holds_its_property() {
    run("metrics_page", 3_000);
}

#[test]
fn the_reader_of_envoys_pages_holds_its_property() {
    run("envoy_page", 3_000);
}

#[test]
fn the_targets_of_pods_hold_their_property() {
    run("pods", 30_000);
}

#[test]
fn the_parser_of_a_targets_file_holds_its_property() {
    run("targets_file", 30_000);
}

#[test]
fn exchanges_hold_their_property() {
    run("exchange", 30_000);
}
