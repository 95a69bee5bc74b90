use super::*;
use crate::exchange::TerminatedBy;
use crate::fakes::FakeHost;
use crate::labels::ErrorCode;
use crate::record::Outcome;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const GOOD: Termination = Termination {
    status: None,
    side: TerminatedBy::Server,
};
const GONE: Termination = Termination {
    status: None,
    side: TerminatedBy::Client,
};

/// A request with this model in its body, to its end.
fn ask(worker: &mut Worker, host: &mut FakeHost, body: &str) -> Exchange {
    let mut exchange = Exchange::new(Api::Chat, 0, None);
    exchange.request_body(body.len());
    exchange.read_request(body.as_bytes());
    exchange.request_end();
    worker.settle(&mut exchange, 1, host);
    exchange
}

fn answer(worker: &mut Worker, host: &mut FakeHost, mut exchange: Exchange, status: u16, body: &str) -> Record {
    exchange.response_headers(status, Some(b"application/json"), None);
    worker.settle(&mut exchange, 2, host);
    exchange.response_body(body.len());
    exchange.read_response(body.as_bytes());
    exchange.response_end(3);
    worker.settle(&mut exchange, 3, host);
    worker.end(&mut exchange, 4, GOOD, host).unwrap()
}

fn labels(record: &Record) -> (&str, &str) {
    (record.labels.model.as_str(), record.labels.target.as_str())
}

fn running(host: &FakeHost, model: &str) -> i64 {
    host.value(&format!("model_name=.={model};.;inference_model_running_requests"))
}

#[test]
fn a_new_name_is_other_until_a_good_answer_speaks_for_it() {
    let (mut host, mut worker) = (FakeHost::default(), Worker::new(Config::default()));
    let refused = ask(&mut worker, &mut host, r#"{"model":"a"}"#);
    assert_eq!(refused.label, None);
    let record = answer(&mut worker, &mut host, refused, 404, "{}");
    assert_eq!(labels(&record), ("other", "other"));
    let good = ask(&mut worker, &mut host, r#"{"model":"a"}"#);
    let record = answer(&mut worker, &mut host, good, 200, r#"{"model":"b"}"#);
    assert_eq!(labels(&record), ("a", "b"));
    let known = ask(&mut worker, &mut host, r#"{"model":"a"}"#);
    assert_eq!(known.label.as_ref().map(ModelLabel::as_str), Some("a"));
    let record = answer(&mut worker, &mut host, known, 500, "{}");
    assert_eq!(labels(&record), ("a", "a"));
    assert_eq!(record.outcome, Outcome::Failed(ErrorCode::ModelServerError));
}

#[test]
fn without_a_name_in_the_request_the_answer_names_the_model() {
    let (mut host, mut worker) = (FakeHost::default(), Worker::new(Config::default()));
    for (body, status, answered, expected) in [
        ("{}", 200, r#"{"model":"base"}"#, ("base", "base")),
        ("no json", 200, r#"{"model":"base"}"#, ("base", "base")),
        ("{}", 200, "{}", ("unknown", "unknown")),
        ("{}", 400, r#"{"model":"base"}"#, ("unknown", "unknown")),
        (r#"{"model":""}"#, 200, r#"{"model":""}"#, ("unknown", "unknown")),
        (r#"{"model":"unknown"}"#, 200, "{}", ("%75nknown", "%75nknown")),
    ] {
        let exchange = ask(&mut worker, &mut host, body);
        let record = answer(&mut worker, &mut host, exchange, status, answered);
        assert_eq!(labels(&record), expected, "{body} {answered}");
    }
}

#[test]
fn the_configured_header_says_who_serves() {
    let (config, _) = Config::parse(br#"{"models":["a","lora"],"maxModels":1,"targetModelHeader":"x-target"}"#);
    let (mut host, mut worker) = (FakeHost::default(), Worker::new(config));
    for (target, expected) in [("lora", "lora"), ("new", "new"), ("one too many", "other")] {
        let mut exchange = Exchange::new(Api::Chat, 0, Some(target.into()));
        exchange.read_request(br#"{"model":"a"}"#);
        exchange.request_end();
        let record = answer(&mut worker, &mut host, exchange, 200, r#"{"model":"a"}"#);
        assert_eq!(labels(&record), ("a", expected));
    }
}

#[test]
fn a_request_runs_from_the_moment_its_model_is_settled_until_its_end() {
    let (config, _) = Config::parse(br#"{"models":["a"]}"#);
    let (mut host, mut worker) = (FakeHost::default(), Worker::new(config));
    let mut known = ask(&mut worker, &mut host, r#"{"model":"a"}"#);
    let mut new = ask(&mut worker, &mut host, r#"{"model":"b"}"#);
    assert_eq!((running(&host, "a"), running(&host, "b")), (1, 0));
    new.response_headers(200, Some(b"text/event-stream"), None);
    worker.settle(&mut new, 2, &mut host);
    assert_eq!((running(&host, "a"), running(&host, "b")), (1, 1));
    worker.end(&mut known, 3, GONE, &mut host);
    worker.end(&mut new, 3, GONE, &mut host);
    assert_eq!((running(&host, "a"), running(&host, "b")), (0, 0));
}

#[test]
fn a_client_that_leaves_early_is_still_one_request() {
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
        let record = worker.end(&mut exchange, 1, GONE, &mut host).unwrap();
        assert_eq!(
            (record.labels.model.as_str(), record.outcome),
            (expected, Outcome::Cancelled)
        );
        assert_eq!(record.request_bytes, body.len() as u64);
    }
    assert_eq!(running(&host, "a"), 0);
}

#[test]
fn an_exchange_that_goes_on_after_a_redirect_is_no_exchange_of_its_own() {
    let (config, _) = Config::parse(br#"{"models":["a"]}"#);
    let (mut host, mut worker) = (FakeHost::default(), Worker::new(config));
    let mut exchange = ask(&mut worker, &mut host, r#"{"model":"a"}"#);
    assert_eq!(running(&host, "a"), 1);
    let moved = Termination {
        status: Some(302),
        side: TerminatedBy::Redirect,
    };
    assert_eq!(worker.end(&mut exchange, 1, moved, &mut host), None);
    assert_eq!(host.stats().into_iter().filter(|(_, value)| *value > 0).count(), 0);
}

#[test]
fn an_answer_may_overtake_its_request() {
    let (mut host, mut worker) = (FakeHost::default(), Worker::new(Config::default()));
    let mut exchange = Exchange::new(Api::Chat, 0, None);
    exchange.read_request(br#"{"model":"#);
    exchange.response_headers(200, Some(b"application/json"), None);
    worker.settle(&mut exchange, 1, &mut host);
    assert_eq!(exchange.label, None);
    exchange.read_request(br#""a"}"#);
    exchange.request_end();
    worker.settle(&mut exchange, 2, &mut host);
    assert_eq!(running(&host, "a"), 1);
    exchange.response_end(3);
    assert_eq!(
        labels(&worker.end(&mut exchange, 4, GOOD, &mut host).unwrap()),
        ("a", "a")
    );
    assert_eq!(running(&host, "a"), 0);
}

#[cfg(not(target_arch = "wasm32"))]
mod captures {
    use std::path::Path;

    use super::*;

    /// A captured message: its head, and its body without the chunk framing.
    fn message(path: &Path) -> (String, Vec<u8>) {
        let bytes = std::fs::read(path).unwrap();
        let end = |bytes: &[u8], mark: &[u8]| bytes.windows(mark.len()).position(|window| window == mark);
        let at = end(&bytes, b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
        let mut rest = &bytes[at + 4..];
        if !head.contains("transfer-encoding: chunked") {
            return (head, rest.to_vec());
        }
        let mut body = Vec::new();
        while let Some(line) = end(rest, b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            body.extend_from_slice(&rest[line + 2..line + 2 + size]);
            rest = &rest[line + 4 + size..];
        }
        (head, body)
    }

    /// What one exchange leaves behind.
    type Trace = (Record, Vec<(String, i64)>);

    /// A captured exchange, both bodies cut in two at this place.
    fn replay(request: &(String, Vec<u8>), answer: &(String, Vec<u8>), cut: usize) -> Trace {
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
        let status = answer.0.split(' ').nth(1).unwrap().parse().unwrap();
        let content_type = answer.0.lines().find_map(|line| line.strip_prefix("content-type: "));
        exchange.response_headers(status, content_type.map(str::as_bytes), None);
        let (first, second) = answer.1.split_at(cut.min(answer.1.len()));
        for chunk in [first, second] {
            if exchange.response_body(chunk.len()) {
                exchange.read_response(chunk);
            }
            worker.settle(&mut exchange, 1, &mut host);
        }
        exchange.response_end(2);
        let record = worker.end(&mut exchange, 3, GOOD, &mut host).unwrap();
        (
            record,
            host.stats()
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    #[test]
    fn every_capture_leaves_the_same_behind_at_every_cut() {
        let mut captures = 0;
        for folder in ["vllm-0.32.0", "vllm-0.32.0-embed"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../tests/fixtures")
                .join(folder);
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_none_or(|extension| extension != "resp") {
                    continue;
                }
                captures += 1;
                let (request, answer) = (message(&path.with_extension("req")), message(&path));
                let whole = replay(&request, &answer, 0);
                // Every cut of a short answer, and a spread of cuts of a long one.
                let step = answer.1.len() / 1000 + 1;
                for cut in (0..answer.1.len().max(request.1.len())).step_by(step) {
                    assert_eq!(replay(&request, &answer, cut), whole, "{} cut at {cut}", path.display());
                }
            }
        }
        assert!(captures > 150, "{captures} captures");
    }
}
