//! Tests of the objectives and costs: their files, and the rules on the pages of a real Envoy and of the syncer.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed helper fails the test"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use infertally_harness::checked_envoy::COMPLETIONS;
use infertally_harness::client::{exchange, request};
use infertally_harness::envoy::{Binaries, Envoy};
use infertally_harness::{Prometheus, Syncer};
use infertally_harness::{eventually, promtool, repository};
use infertally_rules::shipped::{self, Rule, replace};
use infertally_sim::{Sim, SimConfig};

/// The fastest alert's factor: how many times faster than allowed the budget is used.
const FASTEST: f64 = 14.4;
/// Requests to each Envoy, and those of them that fail; as many are slow.
const REQUESTS: usize = 8;
const BAD: usize = 2;

/// What is between `before` and the next `after`, at each place in the text.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    let parts = text.split(before).skip(1);
    parts
        .filter_map(|part| part.split_once(after).map(|(value, _)| value))
        .collect()
}

fn alerts() -> Vec<Rule> {
    let rules = shipped::rules("slo.yaml").unwrap();
    rules
        .into_iter()
        .filter(|rule| rule.yaml.get("alert").is_some())
        .collect()
}

fn document(file: &str) -> String {
    std::fs::read_to_string(repository(file)).unwrap()
}

#[test]
fn the_unit_tests_pass() {
    for file in ["slo.test.yaml", "slo-days.test.yaml", "costs.test.yaml"] {
        promtool::run(&["test", "rules"], &shipped::path(file)).unwrap();
    }
}

#[test]
fn each_alert_has_unit_tests_and_a_runbook() {
    let (mut firing, mut inactive) = (BTreeSet::new(), BTreeSet::new());
    for file in ["slo.test.yaml", "slo-days.test.yaml"] {
        let file = shipped::yaml(file).unwrap();
        let tests = file["tests"].as_array().unwrap().iter();
        for case in tests.flat_map(|test| test["alert_rule_test"].as_array().unwrap()) {
            let fires = !case["exp_alerts"].as_array().unwrap().is_empty();
            let cases = if fires { &mut firing } else { &mut inactive };
            cases.insert(case["alertname"].as_str().unwrap().to_owned());
        }
    }
    let text = document("docs/slo.md");
    let runbooks: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(str::to_owned)
        .collect();
    let names: BTreeSet<_> = alerts().into_iter().map(|alert| alert.name).collect();
    assert_eq!(firing, names, "alerts with a unit test in which they fire");
    assert_eq!(inactive, names, "alerts with a unit test in which they do not fire");
    assert_eq!(runbooks, names, "sections of docs/slo.md");
    for alert in alerts() {
        let runbook = alert.yaml["annotations"]["runbook_url"].as_str().unwrap();
        assert_eq!(runbook, format!("docs/slo.md#{}", alert.name.to_lowercase()));
    }
}

/// docs/metrics.md has the bounds of the filter's table, which another test holds. An objective at another bound would have
/// no bucket, and would count every request as bad.
#[test]
fn the_bound_of_each_latency_is_a_bucket_of_its_histogram() {
    let bounds = document("docs/metrics.md");
    let mut objectives = 0;
    for rule in shipped::rules("slo.yaml").unwrap() {
        let expression = rule.yaml["expr"].as_str().unwrap();
        for (before, _) in expression.match_indices("_bucket{") {
            let (name, selector) = expression.split_at(before);
            let name = name
                .rsplit(|char: char| !(char.is_alphanumeric() || char == '_'))
                .next();
            let (name, bound) = (name.unwrap(), between(selector, "le=~\"", "([.]0)?\"")[0]);
            let row = bounds
                .lines()
                .find_map(|line| line.strip_prefix(&format!("- `{name}`: ")))
                .unwrap_or_default();
            assert!(
                row.split(' ').any(|other| other == bound),
                "{name} has no bucket {bound}: {row}"
            );
            objectives += 1;
        }
    }
    let latencies = shipped::text("slo.yaml").unwrap().matches("_bucket{").count();
    assert!(objectives == latencies && objectives > 0, "{objectives} of {latencies}");
}

#[test]
fn each_objective_has_requests_and_can_fire_the_fastest_alert() {
    let rules = shipped::rules("slo.yaml").unwrap();
    let of = |name: &str| -> BTreeSet<String> {
        let rules = rules.iter().filter(|rule| rule.name == name);
        rules
            .map(|rule| rule.yaml["labels"]["slo"].as_str().unwrap().to_owned())
            .collect()
    };
    let objectives = of("infertally_slo:objective:ratio");
    assert!(!objectives.is_empty());
    assert_eq!(of("infertally_slo:requests:rate5m"), objectives);
    assert_eq!(of("infertally_slo:bad_requests:rate5m"), objectives);
    for rule in rules
        .iter()
        .filter(|rule| rule.name == "infertally_slo:objective:ratio")
    {
        let ratio: f64 = between(rule.yaml["expr"].as_str().unwrap(), "vector(", ")")[0]
            .parse()
            .unwrap();
        assert!(ratio < 1.0 && FASTEST * (1.0 - ratio) < 1.0, "{ratio}");
    }
    let factors: BTreeSet<_> = alerts()
        .iter()
        .map(|alert| alert.yaml["expr"].to_string().contains("14.4 *"))
        .collect();
    assert!(factors.contains(&true), "no alert has the factor {FASTEST}");
}

/// A series of the filter that no longer had this name would leave an objective or a cost without data, silently.
#[test]
fn the_filter_has_every_metric_of_the_rules() {
    let metrics = document("docs/metrics.md");
    for file in ["slo.yaml", "costs.yaml"] {
        let text = shipped::text(file).unwrap();
        let words = text.split(|char: char| !(char.is_alphanumeric() || char == '_'));
        let names: BTreeSet<_> = words.filter(|word| word.starts_with("inference_")).collect();
        assert!(names.len() > 2, "{file}: {names:?}");
        for name in names {
            let family = ["_bucket", "_count", "_sum"]
                .iter()
                .find_map(|part| name.strip_suffix(part));
            let family = family.unwrap_or(name);
            assert!(metrics.contains(&format!("| `{family}` |")), "{file}: {family}");
        }
    }
}

/// The rules, evaluated all the time, with a bound of 1 s.
fn rules() -> String {
    let text = shipped::text("slo.yaml").unwrap();
    let text = replace(&text, "interval: 1m", "interval: 250ms").unwrap();
    replace(&text, "le=~\"10([.]0)?\"", "le=~\"1([.]0)?\"").unwrap()
}

async fn start_prometheus(targets: &str, more: &str) -> Prometheus {
    let config = format!(
        "global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}\nrule_files: [slo.yaml]\n\
         scrape_configs:\n- {{job_name: models, static_configs: [{{targets: [{targets}]}}]{more}}}\n"
    );
    Prometheus::start(&config, &[("slo.yaml", &rules())]).await.unwrap()
}

/// The same requests, read from two Envoys and from a syncer whose bounds Prometheus writes with a decimal point.
#[tokio::test]
async fn the_ratios_are_those_of_the_traffic_on_the_page_of_envoy_and_of_the_syncer() {
    let sim = Sim::start(SimConfig::default()).await.unwrap();
    let mut envoys = Vec::new();
    for _ in 0..2 {
        envoys.push(
            Envoy::start(&Binaries::from_env().unwrap(), sim.addr(), 1, Ok)
                .await
                .unwrap(),
        );
    }
    let listeners: Vec<_> = envoys.iter().map(|envoy| envoy.stats_listener().to_string()).collect();
    let urls: Vec<_> = listeners.iter().map(|address| format!("http://{address}")).collect();
    let binary = PathBuf::from(std::env::var_os("INFERTALLY_SYNCER").unwrap());
    let mut arguments = vec!["--envoy-interval=250ms"];
    for url in &urls {
        arguments.extend(["--envoy", url]);
    }
    let syncer = Syncer::pool(&binary, &arguments).await.unwrap();
    let page = start_prometheus(&listeners.join(", "), ", metrics_path: /stats/prometheus").await;
    let protobuf = ", scrape_protocols: [PrometheusProto]";
    let copy = start_prometheus(&syncer.address().to_string(), protobuf).await;
    let send = async |behaviours: &[&str]| {
        for envoy in &envoys {
            for behaviour in behaviours {
                let body = br#"{"model":"tiny","prompt":"a b c","max_tokens":4}"#;
                let request = request("POST", COMPLETIONS, &[("x-sim", behaviour)], body);
                exchange(envoy.listener(), &request, usize::MAX).await.unwrap();
            }
        }
    };
    let bad = ["status=503", "delay=1100ms"];
    let counts = async |prometheus: &Prometheus, expression: &str, expected: f64| {
        let scraped = eventually(async || {
            let found = prometheus.query(expression).await?;
            match found[..] {
                [(_, value)] if value == expected => Ok(()),
                _ => Err(format!("{expression}: {found:?}, not {expected}").into()),
            }
        });
        scraped.await.unwrap();
    };
    // A rate needs a sample of each series before. The first good response admits the model's name.
    send(&["", bad[0], bad[1]]).await;
    let total = "sum(inference_model_request_total)";
    for prometheus in [&page, &copy] {
        counts(prometheus, total, 6.0).await;
    }
    for _ in 0..BAD {
        send(&bad).await;
    }
    send(&[""; REQUESTS - 2 * BAD]).await;
    for prometheus in [&page, &copy] {
        counts(prometheus, total, (6 + 2 * REQUESTS) as f64).await;
        let ratios = eventually(async || {
            let found = prometheus.query("infertally_slo:good:ratio_rate5m").await?;
            let of = |slo: &str| {
                found
                    .iter()
                    .find(|(labels, _)| labels["slo"] == slo && labels["model_name"] == "tiny")
            };
            // Prometheus extrapolates a counter that begins in the window a little less the closer it is to 0.
            let expected = 1.0 - BAD as f64 / REQUESTS as f64;
            let right = |ratio: f64| (ratio - expected).abs() < 0.1;
            match (of("errors"), of("duration")) {
                (Some((_, errors)), Some((_, duration))) if right(*errors) && right(*duration) && found.len() == 2 => {
                    Ok(())
                }
                _ => Err(format!("{found:?}, not {expected}").into()),
            }
        });
        ratios.await.unwrap();
    }
    let bound = "inference_model_request_duration_seconds_bucket{le=\"1.0\"}";
    assert!(
        !copy.query(bound).await.unwrap().is_empty(),
        "the syncer was not scraped in protobuf"
    );
}
