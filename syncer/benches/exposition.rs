//! How fast a page of a real vLLM is parsed, and how fast the page of a thousand pods and that of a real Envoy are encoded,
//! in each media type. With a thousand pods and an interval of one second, the syncer parses some 60 MB a second.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark measures real time and cannot continue without its page"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use infertally_syncer::engine::{self, EngineOptions};
use infertally_syncer::envoy_stats;
use infertally_syncer::exposition::{self, Family, Format, MediaType};
use infertally_syncer::pool::{Pool, Settings};
use infertally_syncer::scrape_status::Attempt;
use infertally_syncer::target::{Discovered, Target};

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

/// The page of a thousand pods that have a load.
fn pool_families() -> Vec<Family> {
    let load = engine::read([&*vllm_page()], Format::Text, &EngineOptions::default()).unwrap();
    let targets: Vec<Target> = (0..1000)
        .map(|pod| {
            let (third, fourth) = (pod / 250, pod % 250);
            format!("vllm-llama3-8b-instruct-{pod}=http://10.0.{third}.{fourth}:8000")
                .parse()
                .unwrap()
        })
        .collect();
    let now = Instant::now();
    let mut pool = Pool::new(
        "vllm-llama3-8b-instruct",
        Settings {
            stale_after: Duration::from_secs(3),
            queue_limit: 5.0,
        },
    );
    pool.discovered(Discovered::Targets(targets.clone()), now);
    for target in &targets {
        let attempt = Attempt {
            ended_at: now,
            duration: Duration::from_micros(2345),
            result: Ok(load.clone()),
        };
        pool.scraped(target, attempt);
    }
    pool.families(now)
}

fn encode(criterion: &mut Criterion) {
    let page = envoy_stats::read([ENVOY_PAGE]).unwrap();
    let envoy = envoy_stats::families([("envoy:9901", &page)], false);
    for (name, families) in [("Envoy page", envoy), ("page of 1,000 pods", pool_families())] {
        let mut group = criterion.benchmark_group(name);
        for (name, media_type) in [
            ("text", MediaType::Text(Format::Text)),
            ("OpenMetrics", MediaType::Text(Format::OpenMetrics)),
            ("protobuf", MediaType::Protobuf),
        ] {
            group.bench_function(name, |bencher| bencher.iter(|| media_type.page(black_box(&families))));
        }
        group.finish();
    }
}

criterion_group!(all, parse, encode);
criterion_main!(all);
