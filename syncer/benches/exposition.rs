//! How fast a page of a real vLLM is read: with one pod a task and one scrape a second, a syncer of a thousand pods reads
//! some 60 MB a second.
#![allow(clippy::unwrap_used, reason = "a benchmark without its page is none")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use infertally_syncer::engine::{self, EngineOptions};
use infertally_syncer::exposition::{self, Format};

/// vLLM 0.32.0 with two LoRA adapters, after some requests; without the response head.
fn page() -> Vec<u8> {
    let response = include_bytes!("../../tests/fixtures/vllm-0.32.0/metrics_lora_after.resp");
    let head = response.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    response.split_at(head + 4).1.to_vec()
}

fn benches(criterion: &mut Criterion) {
    let page = page();
    let mut group = criterion.benchmark_group("vLLM page");
    group.throughput(Throughput::Bytes(page.len() as u64));
    group.bench_function("skip all", |bencher| {
        bencher.iter(|| exposition::parse(black_box(&page), Format::Text, |_| false, |_| ()));
    });
    group.bench_function("read load", |bencher| {
        let options = EngineOptions::default();
        bencher.iter(|| engine::read(black_box(&page), Format::Text, &options).unwrap());
    });
    group.bench_function("read every sample", |bencher| {
        bencher.iter(|| {
            let each = |sample: exposition::Sample<'_>| _ = black_box(sample);
            exposition::parse(black_box(&page), Format::Text, |_| true, each)
        });
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
