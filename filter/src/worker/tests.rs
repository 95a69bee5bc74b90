use super::*;
use crate::exchange::{Outcome, TerminatedBy};
use crate::fakes::FakeHost;
use crate::labels::{ErrorCode, UsageSource};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const BY_UPSTREAM: Termination = Termination {
    status: None,
    by: TerminatedBy::Upstream,
};
const BY_CLIENT: Termination = Termination {
    status: None,
    by: TerminatedBy::Client,
};

/// A complete request with this body.
fn request(worker: &mut Worker, host: &mut FakeHost, body: &str) -> Exchange {
    let mut exchange = Exchange::new(Api::Chat, 0, None);
    exchange.request_body(body.len());
    exchange.read_request(body.as_bytes());
    exchange.request_end();
    worker.resolve_label(&mut exchange, host);
    exchange
}

/// A complete JSON response to it.
fn respond(worker: &mut Worker, host: &mut FakeHost, mut exchange: Exchange, status: u16, body: &str) -> Record {
    exchange.response_headers(status, Some(b"application/json"), None);
    worker.resolve_label(&mut exchange, host);
    exchange.response_body(body.len());
    exchange.read_response(body.as_bytes());
    exchange.response_end(3);
    worker.resolve_label(&mut exchange, host);
    worker.finish(&mut exchange, 4, BY_UPSTREAM, host).unwrap()
}

fn labels(record: &Record) -> (&str, &str) {
    (record.labels.model.as_str(), record.labels.target.as_str())
}

/// Publishes what waits for the next tick.
fn tick(worker: &mut Worker, host: &mut FakeHost) {
    worker.tick(TICK_NS, 0, host);
}

fn running(host: &FakeHost, model: &str) -> i64 {
    host.value(&format!("model_name=.={model};.;inference_model_running_requests"))
}

#[test]
fn new_name_is_other_until_a_2xx_response_admits_it() {
    let (mut host, mut worker) = (FakeHost::default(), Worker::new(Config::default()));
    let rejected = request(&mut worker, &mut host, r#"{"model":"a"}"#);
    assert_eq!(rejected.label, None);
    let record = respond(&mut worker, &mut host, rejected, 404, "{}");
    assert_eq!(labels(&record), ("other", "other"));
    let accepted = request(&mut worker, &mut host, r#"{"model":"a"}"#);
    let record = respond(&mut worker, &mut host, accepted, 200, r#"{"model":"b"}"#);
    assert_eq!(labels(&record), ("a", "b"));
    let known = request(&mut worker, &mut host, r#"{"model":"a"}"#);
    assert_eq!(
        known.label.map(|label| worker.label_value(label)),
        Some(ModelLabel::new(b"a"))
    );
    let record = respond(&mut worker, &mut host, known, 500, "{}");
    assert_eq!(labels(&record), ("a", "a"));
    assert_eq!(record.outcome, Outcome::Failed(ErrorCode::ModelServerError));
}

#[test]
fn response_names_the_model_if_the_request_does_not() {
    let (mut host, mut worker) = (FakeHost::default(), Worker::new(Config::default()));
    for (body, status, response, expected) in [
        ("{}", 200, r#"{"model":"base"}"#, ("base", "base")),
        ("no json", 200, r#"{"model":"base"}"#, ("base", "base")),
        ("{}", 200, "{}", ("unknown", "unknown")),
        ("{}", 400, r#"{"model":"base"}"#, ("unknown", "unknown")),
        (r#"{"model":""}"#, 200, r#"{"model":""}"#, ("unknown", "unknown")),
        (r#"{"model":"unknown"}"#, 200, "{}", ("%75nknown", "%75nknown")),
    ] {
        let exchange = request(&mut worker, &mut host, body);
        let record = respond(&mut worker, &mut host, exchange, status, response);
        assert_eq!(labels(&record), expected, "{body} {response}");
    }
}

#[test]
fn configured_header_names_the_target_model_and_admits_none() {
    let (config, _) = Config::parse(br#"{"models":["a","lora"],"maxModels":9,"targetModelHeader":"x-target"}"#);
    let (mut host, mut worker) = (FakeHost::default(), Worker::new(config));
    for (target, expected) in [("lora", "lora"), ("new", "other"), ("served", "other")] {
        let mut exchange = Exchange::new(Api::Chat, 0, Some(target.into()));
        exchange.read_request(br#"{"model":"a"}"#);
        exchange.request_end();
        let record = respond(&mut worker, &mut host, exchange, 200, r#"{"model":"a"}"#);
        assert_eq!(labels(&record), ("a", expected));
        assert!(!record.label_overflow, "a client's junk is no full table");
    }
    // A model that was served is known.
    let served = request(&mut worker, &mut host, r#"{"model":"served"}"#);
    respond(&mut worker, &mut host, served, 200, "{}");
    let mut exchange = Exchange::new(Api::Chat, 0, Some("served".into()));
    exchange.read_request(br#"{"model":"a"}"#);
    exchange.request_end();
    let record = respond(&mut worker, &mut host, exchange, 200, r#"{"model":"a"}"#);
    assert_eq!(labels(&record), ("a", "served"));
}

#[test]
fn pair_over_the_limit_is_other() {
    let (config, _) = Config::parse(br#"{"models":["a"],"maxModels":3}"#);
    let (mut host, mut worker) = (FakeHost::default(), Worker::new(config));
    let mut pairs = std::collections::HashSet::new();
    for (model, target) in [
        ("b", "c"),
        ("c", "d"),
        ("d", "b"),
        ("a", "b"),
        ("a", "c"),
        ("b", "d"),
        ("b", "b"),
    ] {
        let exchange = request(&mut worker, &mut host, &format!(r#"{{"model":"{model}"}}"#));
        let record = respond(
            &mut worker,
            &mut host,
            exchange,
            200,
            &format!(r#"{{"model":"{target}"}}"#),
        );
        assert_eq!(record.label_overflow, labels(&record) == ("other", "other"));
        pairs.insert(record.labels);
    }
    // Four of different names, one of a name and itself, and `other`.
    assert_eq!(pairs.len(), 6, "{pairs:?}");
    assert_eq!(running(&host, "b"), 0);
}

#[test]
fn request_is_running_from_label_resolution_to_its_end() {
    let (config, _) = Config::parse(br#"{"models":["a"]}"#);
    let (mut host, mut worker) = (FakeHost::default(), Worker::new(config));
    let mut known = request(&mut worker, &mut host, r#"{"model":"a"}"#);
    let mut new = request(&mut worker, &mut host, r#"{"model":"b"}"#);
    tick(&mut worker, &mut host);
    assert_eq!((running(&host, "a"), running(&host, "b")), (1, 0));
    new.response_headers(200, Some(b"text/event-stream"), None);
    worker.resolve_label(&mut new, &mut host);
    tick(&mut worker, &mut host);
    assert_eq!((running(&host, "a"), running(&host, "b")), (1, 1));
    worker.finish(&mut known, 3, BY_CLIENT, &mut host);
    worker.finish(&mut new, 3, BY_CLIENT, &mut host);
    tick(&mut worker, &mut host);
    assert_eq!((running(&host, "a"), running(&host, "b")), (0, 0));
}

#[test]
fn cancelled_request_is_recorded() {
    let (config, _) = Config::parse(br#"{"models":["a"]}"#);
    let (mut host, mut worker) = (FakeHost::default(), Worker::new(config));
    for (body, expected) in [
        (r#"{"model":"a","messages":["#, "a"),
        (r#"{"model":"b","#, "other"),
        ("{", "unknown"),
    ] {
        let mut exchange = Exchange::new(Api::Chat, 0, None);
        exchange.request_body(body.len());
        exchange.read_request(body.as_bytes());
        let record = worker.finish(&mut exchange, 1, BY_CLIENT, &mut host).unwrap();
        assert_eq!(
            (record.labels.model.as_str(), record.outcome),
            (expected, Outcome::Cancelled)
        );
        assert_eq!(record.request_bytes, body.len() as u64);
    }
    assert_eq!(running(&host, "a"), 0);
}

#[test]
fn internally_redirected_exchange_is_not_recorded() {
    let (config, _) = Config::parse(br#"{"models":["a"]}"#);
    let (mut host, mut worker) = (FakeHost::default(), Worker::new(config));
    let mut exchange = request(&mut worker, &mut host, r#"{"model":"a"}"#);
    tick(&mut worker, &mut host);
    assert_eq!(running(&host, "a"), 1);
    let redirect = Termination {
        status: Some(302),
        by: TerminatedBy::Redirect,
    };
    assert_eq!(worker.finish(&mut exchange, 1, redirect, &mut host), None);
    tick(&mut worker, &mut host);
    assert_eq!(host.stats().into_iter().filter(|(_, value)| *value > 0).count(), 0);
}

#[test]
fn response_may_precede_the_end_of_the_request() {
    let (mut host, mut worker) = (FakeHost::default(), Worker::new(Config::default()));
    let mut exchange = Exchange::new(Api::Chat, 0, None);
    exchange.read_request(br#"{"model":"#);
    exchange.response_headers(200, Some(b"application/json"), None);
    worker.resolve_label(&mut exchange, &mut host);
    assert_eq!(exchange.label, None);
    exchange.read_request(br#""a"}"#);
    exchange.request_end();
    worker.resolve_label(&mut exchange, &mut host);
    tick(&mut worker, &mut host);
    assert_eq!(running(&host, "a"), 1);
    exchange.response_end(3);
    assert_eq!(
        labels(&worker.finish(&mut exchange, 4, BY_UPSTREAM, &mut host).unwrap()),
        ("a", "a")
    );
    tick(&mut worker, &mut host);
    assert_eq!(running(&host, "a"), 0);
}

#[test]
fn usage_that_a_server_reports_unasked_is_not_missing_for_want_of_a_request() {
    let (mut host, mut worker) = (FakeHost::default(), Worker::new(Config::default()));
    let mut stream = |body: &str| {
        let mut exchange = request(&mut worker, &mut host, r#"{"model":"m"}"#);
        exchange.response_headers(200, Some(b"text/event-stream"), None);
        exchange.response_body(body.len());
        exchange.read_response(body.as_bytes());
        worker
            .finish(&mut exchange, 4, BY_CLIENT, &mut host)
            .unwrap()
            .usage_source
    };
    let aborted = "data: {\"model\":\"m\",\"choices\":[{\"index\":0}]}\n\n";
    let usage = "data: {\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":5}}\n\ndata: [DONE]\n\n";
    assert_eq!(stream(aborted), Some(UsageSource::MissingNotRequested));
    assert_eq!(stream(usage), Some(UsageSource::Reported));
    assert_eq!(stream(aborted), Some(UsageSource::MissingAborted));
}
mod publishing;

#[cfg(not(target_arch = "wasm32"))]
mod captures {
    use std::path::Path;

    use super::*;

    /// Head and body of a captured message, without chunked framing.
    fn message(path: &Path) -> (String, Vec<u8>) {
        let bytes = std::fs::read(path).unwrap();
        let find = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).position(|window| window == text);
        let at = find(&bytes, b"\r\n\r\n").unwrap();
        let head = lower_case_names(std::str::from_utf8(&bytes[..at]).unwrap());
        let mut rest = &bytes[at + 4..];
        if !head.contains("transfer-encoding: chunked") {
            return (head, rest.to_vec());
        }
        let mut body = Vec::new();
        while let Some(line) = find(rest, b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            body.extend_from_slice(&rest[line + 2..line + 2 + size]);
            rest = &rest[line + 4 + size..];
        }
        (head, body)
    }

    /// A head whose field names are in lower case.
    fn lower_case_names(head: &str) -> String {
        let lower = |line: &str| match line.split_once(": ") {
            Some((name, value)) => format!("{}: {value}", name.to_ascii_lowercase()),
            None => line.to_owned(),
        };
        head.split("\r\n").map(lower).collect::<Vec<_>>().join("\r\n")
    }

    /// The record of an exchange and all stats.
    type Trace = (Record, Vec<(String, i64)>);

    /// Replays a captured exchange with both bodies split in two at this position.
    fn replay(request: &(String, Vec<u8>), response: &(String, Vec<u8>), cut: usize) -> Trace {
        let (mut host, mut worker) = (FakeHost::default(), Worker::new(Config::default()));
        let path = request.0.split(' ').nth(1).unwrap();
        let api = worker.route(b"POST", path.as_bytes()).unwrap_or(Api::Chat);
        let mut exchange = Exchange::new(api, 0, None);
        let (first, second) = request.1.split_at(cut.min(request.1.len()));
        for chunk in [first, second] {
            exchange.request_body(chunk.len());
            exchange.read_request(chunk);
        }
        exchange.request_end();
        let status = response.0.split(' ').nth(1).unwrap().parse().unwrap();
        let content_type = response.0.lines().find_map(|line| line.strip_prefix("content-type: "));
        exchange.response_headers(status, content_type.map(str::as_bytes), None);
        let (first, second) = response.1.split_at(cut.min(response.1.len()));
        for chunk in [first, second] {
            if exchange.response_body(chunk.len()) {
                exchange.read_response(chunk);
            }
            worker.resolve_label(&mut exchange, &mut host);
        }
        exchange.response_end(2);
        let record = worker.finish(&mut exchange, 3, BY_UPSTREAM, &mut host).unwrap();
        tick(&mut worker, &mut host);
        (
            record,
            host.stats()
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    #[test]
    fn record_and_stats_of_a_capture_do_not_depend_on_chunk_boundaries() {
        let mut captures = 0;
        for folder in ["vllm-0.32.0", "vllm-0.32.0-embed", "llama.cpp-0.5.0", "formats"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../tests/fixtures")
                .join(folder);
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_none_or(|extension| extension != "resp") {
                    continue;
                }
                captures += 1;
                let (request, response) = (message(&path.with_extension("req")), message(&path));
                let unchunked = replay(&request, &response, 0);
                // Every position in a short response, about a thousand in a long one.
                let step = response.1.len() / 1000 + 1;
                for cut in (0..response.1.len().max(request.1.len())).step_by(step) {
                    assert_eq!(
                        replay(&request, &response, cut),
                        unchunked,
                        "{} split at {cut}",
                        path.display()
                    );
                }
            }
        }
        assert!(captures > 190, "{captures} captures");
    }

    #[test]
    fn formats_of_other_servers_report_these_facts() {
        // File, response's model, input/output/cached/reasoning tokens, usage source, finish reasons, outcome.
        let expected = [
            "anthropic_messages: claude-sonnet-4-5-20250929 266/64/256/- reported length*1 Success",
            "anthropic_messages_stream: claude-sonnet-4-5-20250929 19114/15/18000/- reported stop*1 Success",
            "lmdeploy_chat_stream_n2: m 9/7/0/- reported stop*1 length*1 Success",
            "ollama_chat_stream: m:latest 26/3/-/- reported stop*1 Success",
            "openai_chat_stream: gpt-4o-mini-2024-07-18 1117/46/1024/20 reported stop*1 Success",
            "openai_responses_failed: gpt-4.1-2025-04-14 -/-/-/- missing_truncated error*1 Failed(ModelServerError)",
            "openai_responses_stream: gpt-4.1-2025-04-14 37/11/0/0 reported stop*1 Success",
            "openai_transcription_duration: whisper-1 -/-/-/- reported_duration Success",
            "openai_transcription_tokens: whisper-1 14/45/-/- reported Success",
            "sglang_chat: m 9/8/-/3 reported stop*1 Success",
            "sglang_chat_stream_continuous_n2: m 9/12/4/5 reported stop*1 length*1 Success",
            "sglang_chat_stream_continuous_only_n2: m 9/12/-/5 reported stop*1 length*1 Success",
            "tgi_chat_stream: org/m 9/3/-/- reported length*1 Success",
        ];
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/formats");
        let mut lines = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "resp") {
                continue;
            }
            let (record, _) = replay(&message(&path.with_extension("req")), &message(&path), 0);
            assert!(
                !record.invalid_request && !record.invalid_response,
                "{}",
                path.display()
            );
            let tokens = [
                record.usage.input,
                record.usage.output,
                record.usage.cached_input,
                record.usage.reasoning_output,
            ];
            let mut words = vec![
                record.labels.target.as_str().to_owned(),
                tokens
                    .map(|count| count.map_or("-".to_owned(), |count| count.to_string()))
                    .join("/"),
                record.usage_source.unwrap().as_str().to_owned(),
            ];
            let reasons = record.finish_reasons.iter();
            words.extend(reasons.map(|(reason, count)| format!("{}*{count}", reason.as_str())));
            words.push(format!("{:?}", record.outcome));
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            lines.push(format!("{name}: {}", words.join(" ")));
        }
        lines.sort();
        assert_eq!(lines, expected);
    }
}
