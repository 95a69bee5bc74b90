//! Runs every property over the corpus, over what once broke it, and over a fixed number of mutations: without libFuzzer
//! and the same every time. `make fuzz` searches on.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use infertally_fuzz::corpus::{regressions, root, seeds};
use infertally_fuzz::mutation::Mutator;
use infertally_fuzz::{TARGETS, Target};

/// Cases of a target beside its seeds. The numbers are such that each target takes some seconds.
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
        "fuzz: {name}: {} seeds, {} regressions, {mutations} mutations: every property holds",
        seeds.len(),
        regressions.len()
    ));
}

/// Past the test runner, which hides what `println` prints.
fn say(line: &str) {
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// An input that breaks the property is left where libFuzzer would leave it.
fn check(target: Target, input: &[u8], what: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.check)(input))) {
        let folder = root().join("fuzz/artifacts").join(target.name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("smoke"), input).unwrap();
        let name = target.name;
        say(&format!(
            "fuzz: {name}: broken by {what}, now in fuzz/artifacts/{name}/smoke"
        ));
        resume_unwind(panic);
    }
}

#[test]
fn the_scanner_keeps_its_word() {
    run("json", 30_000);
}

#[test]
fn the_splitter_keeps_its_word() {
    run("sse", 60_000);
}

#[test]
fn the_reader_of_requests_keeps_its_word() {
    run("request", 80_000);
}

#[test]
fn the_readers_of_answers_keep_their_word() {
    run("response", 60_000);
}

#[test]
fn the_reader_of_configurations_keeps_its_word() {
    run("lora_config", 20_000);
}

#[test]
fn the_reader_of_models_keeps_its_word() {
    run("lora_models", 30_000);
}

#[test]
fn exchanges_keep_their_word() {
    run("exchange", 30_000);
}
