//! Tests that the recording rules agree with the syncer: both scrape the same pods and produce the same series.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed helper fails the test"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use infertally_harness::page::{Load, full, small};
use infertally_harness::stats::{Series, parse_values};
use infertally_harness::{Behaviour, Pod, Prometheus, Syncer};
use infertally_harness::{Result, eventually, repository};
use infertally_rules::shipped::{self, replace};

type Page = BTreeMap<Series, f64>;

/// Every engine that the syncer supports.
const ENGINES: [&str; 12] = [
    "vllm-0.9",
    "vllm-data-parallel",
    "sglang",
    "sglang-ranks",
    "sglang-prefill",
    "sglang-decode",
    "llamacpp-older",
    "tgi",
    "trtllm",
    "triton-trtllm",
    "triton",
    "triton-vllm",
];

fn load(waiting: f64, running: f64, kv_cache: f64) -> Load {
    Load {
        waiting,
        running,
        kv_cache,
    }
}

fn page_of(engine: &str) -> Bytes {
    let file = repository("tests/fixtures/engines")
        .join(engine)
        .with_added_extension("txt");
    std::fs::read(file).unwrap().into()
}

async fn start_prometheus(pods: &[Pod]) -> Prometheus {
    let targets: Vec<_> = pods.iter().map(|pod| format!("127.0.0.1:{}", pod.port())).collect();
    let servers = shipped::text("model-servers.yaml").unwrap();
    let servers = replace(&servers, "vllm.example:8000", &targets.join(", ")).unwrap();
    let fast = "scrape_interval: 500ms\n  scrape_timeout: 500ms";
    let servers = replace(&servers, "scrape_interval: 5s", fast).unwrap();
    let config =
        "global: {evaluation_interval: 250ms}\nrule_files: [rules.yaml]\nscrape_config_files: [servers.yaml]\n";
    let rules = shipped::text("recording-rules.yaml").unwrap();
    Prometheus::start(config, &[("rules.yaml", &rules), ("servers.yaml", &servers)])
        .await
        .unwrap()
}

async fn start_syncer(pods: &[Pod]) -> Syncer {
    let binary = std::env::var_os("INFERTALLY_SYNCER").map(PathBuf::from);
    let binary = binary.unwrap_or_else(|| panic!("INFERTALLY_SYNCER is not set: run these tests with `make test`"));
    let mut arguments = vec![
        "--scrape-interval=500ms".to_owned(),
        "--scrape-timeout=490ms".to_owned(),
    ];
    // A target without a name is named after its address, as in the shipped scrape configuration.
    arguments.extend(
        pods.iter()
            .map(|pod| format!("--target=http://127.0.0.1:{}", pod.port())),
    );
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    Syncer::pool(&binary, &arguments).await.unwrap()
}

/// The series that Prometheus recorded.
async fn recorded(prometheus: &Prometheus) -> Result<Page> {
    let mut page = Page::new();
    for rule in shipped::rules("recording-rules.yaml")? {
        for (labels, value) in prometheus.query(&format!("{}{{job=\"\"}}", rule.name)).await? {
            let labels = labels.as_object().into_iter().flatten();
            let labels: Vec<_> = labels
                .filter(|(name, _)| *name != "__name__")
                .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
                .collect();
            page.insert(Series::new(&rule.name, &labels), value);
        }
    }
    Ok(page)
}

/// The same series from the syncer.
async fn served(syncer: &Syncer) -> Result<Page> {
    let rules = shipped::rules("recording-rules.yaml")?;
    let mut page = parse_values(&syncer.metrics().await?)?;
    page.retain(|series, _| rules.iter().any(|rule| rule.name == series.name));
    Ok(page)
}

/// Waits until both have equal series and `expected` holds. Averages may differ by rounding.
async fn agreed(prometheus: &Prometheus, syncer: &Syncer, expected: impl Fn(&Page) -> bool) -> Page {
    let both = eventually(async || {
        let (ours, theirs) = (served(syncer).await?, recorded(prometheus).await?);
        let same = ours.len() == theirs.len()
            && ours.iter().zip(&theirs).all(|((series, value), (other, computed))| {
                series == other && (value - computed).abs() <= 1e-12 * value.abs()
            });
        if same && expected(&ours) {
            return Ok(ours);
        }
        let of = |page: &Page, series: &Series| page.get(series).copied();
        let different: Vec<_> = ours
            .keys()
            .chain(theirs.keys())
            .filter(|series| of(&ours, series) != of(&theirs, series))
            .map(|series| {
                format!(
                    "{series}: syncer {:?}, Prometheus {:?}",
                    of(&ours, series),
                    of(&theirs, series)
                )
            })
            .collect();
        Err(different.join("\n").into())
    });
    both.await.unwrap()
}

fn ready(page: &Page) -> f64 {
    page[&Series::new("inference_pool_ready_pods", &[("name", "default")])]
}

#[tokio::test]
async fn prometheus_records_the_series_that_the_syncer_serves() {
    let mut pages: Vec<_> = ENGINES.iter().map(|engine| Behaviour::Page(page_of(engine))).collect();
    pages.push(Behaviour::Page(full(load(7.0, 3.0, 0.125)).unwrap()));
    pages.push(Behaviour::Page(small(load(0.0, 0.0, 0.0))));
    // One that reports no load, and two whose scrapes fail.
    pages.push(Behaviour::Page("python_info{version=\"3.12\"} 1\n".into()));
    pages.push(Behaviour::Status(503));
    pages.push(Behaviour::Hang);
    let mut pods = Vec::new();
    for page in pages {
        pods.push(Pod::start(page).await.unwrap());
    }
    let targets = pods.len();
    let (prometheus, syncer) = (start_prometheus(&pods).await, start_syncer(&pods).await);
    let page = agreed(&prometheus, &syncer, |page| ready(page) == ENGINES.len() as f64 + 3.0).await;
    // Without roles there are no series by role.
    let rules = shipped::rules("recording-rules.yaml").unwrap().into_iter();
    for rule in rules.filter(|rule| !rule.name.contains("_role_")) {
        assert!(page.keys().any(|series| series.name == rule.name), "no {}", rule.name);
    }
    autoscaling_queries_return_the_pools_values(&prometheus, &page).await;

    // A load changes, an address changes its engine, and some pods are removed.
    pods[ENGINES.len()].set(Behaviour::Page(small(load(70.0, 30.0, 0.5))));
    pods[ENGINES.len() + 1].set(Behaviour::Page(page_of("sglang-ranks")));
    pods.truncate(ENGINES.len() + 2);
    pods.remove(0);
    let page = agreed(&prometheus, &syncer, |page| ready(page) == pods.len() as f64).await;
    let changed = Series::new(
        "inference_pool_per_pod_queue_size",
        &[
            ("name", "default"),
            (
                "model_server_pod",
                &format!("127.0.0.1:{}", pods[ENGINES.len() - 1].port()),
            ),
        ],
    );
    assert_eq!(page[&changed], 70.0);

    // If none responds, no pod is ready and there is no average.
    pods.clear();
    let page = agreed(&prometheus, &syncer, |page| page.len() == 1 + targets).await;
    assert!(page.values().all(|value| *value == 0.0), "{page:?}");
}

/// Both examples scale by the saturation and by the total of running requests, of one pool of one namespace.
async fn autoscaling_queries_return_the_pools_values(prometheus: &Prometheus, page: &Page) {
    let saturation = page[&Series::new("inference_pool_saturation", &[("name", "default")])];
    let running = page
        .iter()
        .filter(|(series, _)| series.name == "inference_pool_per_pod_running_requests");
    let running: f64 = running.map(|(_, value)| value).sum();
    let matchers = "namespace=\"default\",name=\"vllm\"";

    let keda = shipped::yaml("autoscaling/keda.yaml").unwrap();
    let triggers = keda["spec"]["triggers"].as_array().unwrap();
    let of_keda = triggers.iter().map(|trigger| {
        // A mean must not be divided by the number of pods.
        let kind = trigger["metricType"].as_str().unwrap_or("AverageValue");
        (
            kind.to_owned(),
            trigger["metadata"]["query"].as_str().unwrap().to_owned(),
        )
    });

    let document = std::fs::read_to_string(repository("docs/prometheus.md")).unwrap();
    let adapter = document
        .split("```")
        .find(|block| block.contains("externalRules"))
        .unwrap();
    let adapter: serde_json::Value = serde_saphyr::from_str(adapter.trim_start_matches("yaml")).unwrap();
    let hpa = shipped::yaml("autoscaling/hpa.yaml").unwrap();
    let metrics = hpa["spec"]["metrics"].as_array().unwrap();
    let of_hpa = metrics.iter().map(|metric| {
        let metric = &metric["external"];
        let rules = adapter["externalRules"].as_array().unwrap();
        let rule = rules.iter().find(|rule| rule["name"]["as"] == metric["metric"]["name"]);
        let labels = &metric["metric"]["selector"]["matchLabels"];
        assert_eq!(*labels, serde_json::json!({"namespace": "default", "name": "vllm"}));
        let query = rule.unwrap()["metricsQuery"].as_str().unwrap();
        let kind = metric["target"]["type"].as_str().unwrap().to_owned();
        (kind, replace(query, "<<.LabelMatchers>>", matchers).unwrap())
    });

    let expected = [("Value", saturation), ("AverageValue", running)];
    for queries in [of_keda.collect::<Vec<_>>(), of_hpa.collect()] {
        assert_eq!(queries.len(), expected.len());
        for ((kind, query), (expected_kind, value)) in queries.iter().zip(expected) {
            assert_eq!(kind, expected_kind, "{query}");
            // These targets are in no namespace.
            let query = replace(query, matchers, "namespace=\"\",name=\"default\"").unwrap();
            let result = prometheus.query(&query).await.unwrap();
            assert!(
                matches!(result[..], [(_, found)] if (found - value).abs() < 1e-9),
                "{query}: {result:?}, not {value}"
            );
        }
    }
}
