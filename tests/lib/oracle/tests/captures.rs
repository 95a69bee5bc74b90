//! The oracle against every measured capture of a real vLLM: its facts are the golden table's, line by line.
//!
//! `UPDATE_GOLDEN=1` rewrites the table; the change is for a reviewer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed helper fails the test")]

use std::path::{Path, PathBuf};

use infertally_oracle::api::Api;
use infertally_oracle::capture::Capture;
use infertally_oracle::response::Usage;
use infertally_oracle::{Completion, Facts, Outcome, read};

const FOLDERS: [&str; 4] = ["vllm-0.32.0", "vllm-0.32.0-embed", "llama.cpp-0.5.0", "formats"];
const HEADER: &str = "# capture: requested model -> response's model, form, request and response bytes, input/output/cached/reasoning tokens, \
                      usage source, finish reasons, outcome\n";

fn tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn line(name: &str, facts: &Facts) -> String {
    let Facts {
        requested_model,
        response_model,
        is_success: _,
        is_stream,
        outcome,
        duration_us: _,
        request_bytes,
        response_bytes,
        usage,
        usage_source,
        finish_reasons,
        invalid_request,
        invalid_response,
    } = facts;
    let Usage {
        input,
        output,
        cached_input,
        reasoning_output,
        audio_seconds: _,
    } = usage;
    let model = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
    let tokens = [input, output, cached_input, reasoning_output];
    let tokens = tokens.map(|count| count.map_or("-".to_owned(), |count| count.to_string()));
    let reasons: Vec<_> = finish_reasons
        .iter()
        .map(|(reason, count)| format!("{reason}*{count}"))
        .collect();
    let outcome = match outcome {
        Outcome::Success => "success",
        Outcome::Failed(code) => code,
        Outcome::Cancelled => "cancelled",
    };
    let mut line = format!(
        "{name}: {} -> {}, {}, {request_bytes} B, {response_bytes} B, {}, {}, [{}], {outcome}",
        model(requested_model),
        model(response_model),
        if *is_stream { "stream" } else { "document" },
        tokens.join("/"),
        usage_source.unwrap_or("-"),
        reasons.join(" "),
    );
    for (is_invalid, what) in [(invalid_request, "request"), (invalid_response, "response")] {
        if *is_invalid {
            line += &format!(", invalid {what}");
        }
    }
    line + "\n"
}

#[test]
fn the_facts_of_every_capture_are_those_of_the_golden_table() {
    let mut table = HEADER.to_owned();
    for folder in FOLDERS {
        for capture in Capture::load_all(&tests("fixtures").join(folder)).unwrap() {
            if Api::of(&capture.method, &capture.path).is_none() {
                continue;
            }
            let completion = if capture.response.complete {
                Completion::Complete
            } else {
                Completion::UpstreamReset
            };
            let name = format!("{folder}/{}", capture.name);
            let facts = read(&capture.path, &capture.request_body, &capture.response, completion)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            table += &line(&name, &facts);
        }
    }
    let golden = tests("golden/oracle-captures.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &table).unwrap();
    }
    let golden = std::fs::read_to_string(&golden).unwrap();
    for (seen, wanted) in table.lines().zip(golden.lines()) {
        assert_eq!(seen, wanted);
    }
    assert_eq!(table.lines().count(), golden.lines().count());
}
