//! How fast a page of a real vLLM is parsed and a page of a real Envoy is encoded. With a thousand pods and an interval of
//! one second, the syncer parses some 60 MB a second.
#![allow(clippy::unwrap_used, reason = "a benchmark cannot continue without its page")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use infertally_syncer::engine::{self, EngineOptions};
use infertally_syncer::envoy_stats;
use infertally_syncer::exposition::{self, Format};

/// The stats page of Envoy 1.40.0 with the filter.
const ENVOY_PAGE: &[u8] = include_bytes!("../../tests/fixtures/envoy-1.40.0/stats_prometheus.txt");

/// The page of vLLM 0.32.0 with two LoRA adapters, after some requests: the captured response without its headers.
fn vllm_page() -> Vec<u8> {
    let response = include_bytes!("../../tests/fixtures/vllm-0.32.0/metrics_lora_after.resp");
    let end = response.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    response.split_at(end + 4).1.to_vec()
}

fn parse(criterion: &mut Criterion) {
    let page = vllm_page();
    let mut group = criterion.benchmark_group("vLLM page");
    group.throughput(Throughput::Bytes(page.len() as u64));
    group.bench_function("skip all", |bencher| {
        bencher.iter(|| exposition::parse([black_box(&*page)], Format::Text, |_| false, |_| ()));
    });
    group.bench_function("read load", |bencher| {
        let options = EngineOptions::default();
        bencher.iter(|| engine::read([black_box(&*page)], Format::Text, &options).unwrap());
    });
    group.bench_function("read every sample", |bencher| {
        bencher.iter(|| {
            let each = |sample: exposition::Sample<'_>| _ = black_box(sample);
            exposition::parse([black_box(&*page)], Format::Text, |_| true, each)
        });
    });
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let page = envoy_stats::read([ENVOY_PAGE]).unwrap();
    let families = envoy_stats::families([("envoy:9901", &page)], false);
    let mut encoded = String::new();
    exposition::encode(&families, Format::Text, &mut encoded);
    let mut group = criterion.benchmark_group("Envoy page");
    group.throughput(Throughput::Bytes(encoded.len() as u64));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            encoded.clear();
            exposition::encode(black_box(&families), Format::Text, &mut encoded);
        });
    });
    group.finish();
}

criterion_group!(all, parse, encode);
criterion_main!(all);
