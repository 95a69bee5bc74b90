//! How fast the readers read bodies, beside `serde_json`, which builds nothing of them, and beside one search for a byte
//! that does not occur, which is about as fast as memory can be read with the same instructions.
#![allow(clippy::unwrap_used, reason = "a benchmark cannot continue without its bodies")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use infertally_filter::request::RequestReader;
use infertally_filter::response::ResponseReader;
use infertally_filter::route::Api;
use serde::de::IgnoredAny;

/// The body of a message captured from vLLM.
macro_rules! captured {
    ($path:literal) => {
        body(include_bytes!(concat!("../../tests/fixtures/", $path)))
    };
}

fn body(message: &[u8]) -> Vec<u8> {
    let end = message.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    message.split_at(end + 4).1.to_vec()
}

/// A chat request with a prompt of 200 KB that has an escape each `distance` bytes.
fn prompt(distance: usize) -> Vec<u8> {
    let line = "lorem ipsum dolor sit amet, ".repeat(distance / 28 + 1);
    let line = format!("{}\\n", &line[..distance - 2]);
    let prompt = line.repeat(200_000 / distance);
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{prompt}"}}],"stream":false}}"#).into_bytes()
}

/// Embeddings of 16 texts with 1,024 dimensions each.
fn embeddings() -> Vec<u8> {
    let vector: Vec<_> = (0..1024u32)
        .map(|at| format!("{:.17}", f64::from(at).sin() / 32.0))
        .collect();
    let vector = vector.join(",");
    let items: Vec<_> = (0..16)
        .map(|index| format!(r#"{{"index":{index},"object":"embedding","embedding":[{vector}]}}"#))
        .collect();
    let items = items.join(",");
    format!(r#"{{"object":"list","model":"m","data":[{items}],"usage":{{"prompt_tokens":99,"total_tokens":99}}}}"#)
        .into_bytes()
}

fn request(body: &[u8]) {
    let mut reader = RequestReader::new(Api::Chat, None);
    reader.feed(body);
    reader.finish();
    assert!(black_box(reader.facts()).model.is_some());
}

fn response(api: Api, content_type: &str, body: &[u8]) {
    let mut reader = ResponseReader::new(api, Some(content_type.as_bytes()), None);
    reader.feed(body);
    reader.finish();
    assert!(black_box(reader.facts()).usage.input.is_some());
}

fn documents(criterion: &mut Criterion) {
    let json = |api| move |body: &[u8]| response(api, "application/json", body);
    compare(
        criterion,
        "small request",
        &captured!("vllm-0.32.0/chat_plain.req"),
        request,
    );
    compare(
        criterion,
        "small response",
        &captured!("vllm-0.32.0/chat_plain.resp"),
        json(Api::Chat),
    );
    compare(
        criterion,
        "log probabilities",
        &captured!("vllm-0.32.0/chat_logprobs.resp"),
        json(Api::Chat),
    );
    compare(criterion, "prompt, an escape each 100 bytes", &prompt(100), request);
    compare(criterion, "prompt, an escape each 10 bytes", &prompt(10), request);
    compare(criterion, "embeddings", &embeddings(), json(Api::Embeddings));
}

fn compare(criterion: &mut Criterion, name: &str, body: &[u8], read: impl Fn(&[u8])) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("reader", |bencher| bencher.iter(|| read(black_box(body))));
    group.bench_function("serde_json", |bencher| {
        bencher.iter(|| serde_json::from_slice::<IgnoredAny>(black_box(body)).unwrap());
    });
    group.bench_function("memchr", |bencher| bencher.iter(|| memchr::memchr(0, black_box(body))));
    group.finish();
}

fn stream(criterion: &mut Criterion) {
    // Without the framing of the transfer coding.
    let body = String::from_utf8(captured!("vllm-0.32.0/chat_long_stream_usage.resp")).unwrap();
    let lines = body.lines().filter(|line| line.starts_with("data:"));
    let events: Vec<_> = lines.map(|line| format!("{line}\n\n").into_bytes()).collect();
    let body = events.concat();
    let mut group = criterion.benchmark_group("stream");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("in one piece", |bencher| {
        bencher.iter(|| response(Api::Chat, "text/event-stream", black_box(&body)));
    });
    group.bench_function("an event at a time", |bencher| {
        bencher.iter(|| {
            let mut reader = ResponseReader::new(Api::Chat, Some(b"text/event-stream"), None);
            for event in black_box(&events) {
                reader.feed(event);
            }
            reader.finish();
            assert!(black_box(reader.facts()).usage.input.is_some());
        });
    });
    group.finish();
}

criterion_group!(all, documents, stream);
criterion_main!(all);
