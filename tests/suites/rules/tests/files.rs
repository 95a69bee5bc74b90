//! Tests of the shipped files: promtool accepts them, every alert has unit tests and a runbook, and copies of the same rules
//! are equal.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed helper fails the test"
)]

use std::collections::BTreeSet;

use infertally_harness::promtool;
use infertally_harness::repository;
use infertally_rules::shipped;
use serde_json::{Value, json};

/// The alerts of the inference gateway's metrics guide, verbatim.
const GUIDE: &str = include_str!("../fixtures/guide-alerts.yaml");

fn alerts() -> Vec<shipped::Rule> {
    shipped::rules("alerts.yaml").unwrap()
}

fn strings<'a>(values: &'a Value, key: &str) -> BTreeSet<&'a str> {
    let values = values.as_array().into_iter().flatten();
    values.filter_map(|value| value[key].as_str()).collect()
}

#[test]
fn promtool_accepts_the_rules() {
    for file in ["alerts.yaml", "recording-rules.yaml", "slo.yaml", "costs.yaml"] {
        promtool::run(&["check", "rules"], &shipped::path(file)).unwrap();
    }
}

#[test]
fn promtool_accepts_the_scrape_configurations() {
    // Syntax only, because the files that they reference exist only on a user's machine.
    for file in [
        "prometheus.yaml",
        "prometheus-kubernetes.yaml",
        "model-servers.yaml",
        "model-servers-kubernetes.yaml",
    ] {
        promtool::run(&["check", "config", "--syntax-only"], &shipped::path(file)).unwrap();
    }
}

#[test]
fn the_unit_tests_of_the_alerts_pass() {
    promtool::run(&["test", "rules"], &shipped::path("alerts.test.yaml")).unwrap();
}

#[test]
fn each_alert_has_a_unit_test_that_fires_and_one_that_does_not() {
    let file = shipped::yaml("alerts.test.yaml").unwrap();
    let (mut firing, mut inactive) = (BTreeSet::new(), BTreeSet::new());
    for test in file["tests"].as_array().unwrap() {
        for case in test["alert_rule_test"].as_array().unwrap() {
            let fires = case["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty());
            let cases = if fires { &mut firing } else { &mut inactive };
            cases.insert(case["alertname"].as_str().unwrap());
        }
    }
    let alerts = alerts();
    let alerts: BTreeSet<_> = alerts.iter().map(|alert| alert.name.as_str()).collect();
    assert_eq!(firing, alerts, "alerts with a unit test in which they fire");
    assert_eq!(inactive, alerts, "alerts with a unit test in which they do not fire");
}

#[test]
fn the_four_alerts_of_the_guide_are_verbatim() {
    let guide: Vec<Value> = serde_saphyr::from_multiple(GUIDE).unwrap();
    let shipped: Vec<_> = alerts().into_iter().take(guide.len()).map(|alert| alert.yaml).collect();
    assert_eq!(shipped, guide);
    // Including its advice on thresholds, which YAML parses as comments.
    let text = shipped::text("alerts.yaml").unwrap();
    for line in GUIDE.lines().filter(|line| line.starts_with("expr:")) {
        assert!(text.contains(line), "{line}");
    }
}

#[test]
fn each_alert_has_a_runbook_and_our_alerts_link_to_it() {
    let runbooks = std::fs::read_to_string(repository("docs/alerts.md")).unwrap();
    let sections: Vec<_> = runbooks.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let alerts = alerts();
    let names: Vec<_> = alerts.iter().map(|alert| alert.name.as_str()).collect();
    assert_eq!(sections, names, "sections of docs/alerts.md");
    for alert in alerts.iter().skip(4) {
        let anchor = alert.name.to_lowercase();
        let runbook = alert.yaml["annotations"]["runbook_url"].as_str();
        assert_eq!(runbook, Some(format!("docs/alerts.md#{anchor}").as_str()));
    }
}

#[test]
fn promtool_accepts_every_query_in_the_documents() {
    let ours = ["inference_", "infertally_", "lora_syncer_", "vllm:", "up{"];
    let others = ["curl", "kubectl", "_*", "…"];
    let mut rules = Vec::new();
    for document in ["docs/alerts.md", "docs/prometheus.md", "docs/slo.md"] {
        let text = std::fs::read_to_string(repository(document)).unwrap();
        // Every second piece between backticks is code.
        let code = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
        let queries = code.filter(|code| {
            ours.iter().any(|part| code.contains(part)) && !others.iter().any(|part| code.contains(part))
        });
        rules.extend(queries.map(|query| json!({"record": "query", "expr": query, "labels": {"query": query}})));
    }
    assert!(rules.len() > 40, "{} queries", rules.len());
    let file = std::env::temp_dir().join(format!("infertally-queries-{}", std::process::id()));
    let groups = json!({"groups": [{"name": "documents", "rules": rules}]});
    std::fs::write(&file, groups.to_string()).unwrap();
    let checked = promtool::run(&["check", "rules", "--lint=none"], &file);
    std::fs::remove_file(&file).unwrap();
    checked.unwrap();
}

#[test]
fn the_prometheus_rules_equal_the_rule_files() {
    for (file, wrapped) in [
        ("alerts.yaml", "operator/alerts/prometheusrule.yaml"),
        ("recording-rules.yaml", "operator/model-servers/prometheusrule.yaml"),
        ("slo.yaml", "operator/slo/prometheusrule.yaml"),
        ("costs.yaml", "operator/costs/prometheusrule.yaml"),
    ] {
        let generated = shipped::yaml(wrapped).unwrap();
        let source = shipped::yaml(file).unwrap();
        assert_eq!(
            generated["spec"], source,
            "{wrapped} is out of date: run scripts/prometheus-rules.sh"
        );
    }
}

#[test]
fn every_scrape_configuration_uses_the_jobs_of_the_rules() {
    let jobs = |file: &str| {
        let file = shipped::yaml(file).unwrap();
        strings(&file["scrape_configs"], "job_name")
            .into_iter()
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    let job_of_monitor = |file: &str| {
        let file = shipped::yaml(file).unwrap();
        let endpoints = file["spec"]
            .get("endpoints")
            .or_else(|| file["spec"].get("podMetricsEndpoints"));
        let rules = endpoints.unwrap()[0]["relabelings"].as_array().unwrap();
        let job = rules.iter().find(|rule| rule["targetLabel"] == "job");
        job.unwrap()["replacement"].as_str().unwrap().to_owned()
    };
    let all = ["infertally-envoy", "infertally-lora", "infertally-syncer"].map(str::to_owned);
    for file in ["prometheus.yaml", "prometheus-kubernetes.yaml"] {
        assert_eq!(jobs(file), BTreeSet::from(all.clone()), "{file}");
    }
    let monitors = [
        "envoys/envoy",
        "envoys/istio",
        "envoys/envoy-gateway",
        "lora/podmonitor",
        "syncer/servicemonitor",
    ];
    let actual: BTreeSet<_> = monitors
        .map(|name| job_of_monitor(&format!("operator/{name}.yaml")))
        .into();
    assert_eq!(actual, BTreeSet::from(all));

    let model_servers = BTreeSet::from(["infertally-model-servers".to_owned()]);
    assert_eq!(jobs("model-servers.yaml"), model_servers);
    assert_eq!(jobs("model-servers-kubernetes.yaml"), model_servers);
    assert_eq!(
        job_of_monitor("operator/model-servers/servicemonitor.yaml"),
        "infertally-model-servers"
    );
}

/// The scrape configuration and the operator's ServiceMonitor treat the model servers alike, and select the shipped Service.
#[test]
fn model_servers_are_scraped_alike_with_the_operator_and_without() {
    let config = shipped::yaml("model-servers-kubernetes.yaml").unwrap();
    let config = &config["scrape_configs"][0];
    let monitor = shipped::yaml("operator/model-servers/servicemonitor.yaml").unwrap();
    let endpoint = &monitor["spec"]["endpoints"][0];
    let service = shipped::yaml("operator/model-servers/service.yaml").unwrap();

    // Each rule by what it sets or does, with its sources and regex.
    let rules = |rules: &Value, keys: [&str; 2]| -> BTreeSet<String> {
        let rules = rules.as_array().unwrap().iter();
        let text = |rule: &Value, key: &str| rule[key].as_str().unwrap_or_default().to_owned();
        let rule = |rule: &Value| {
            let mut sources: Vec<_> = rule[keys[0]].as_array().into_iter().flatten().collect();
            // The operator's Prometheus may discover by Endpoints instead.
            sources.retain(|source| *source != "__meta_kubernetes_endpoint_ready");
            let action = rule["action"].as_str().unwrap_or("replace");
            format!(
                "{action} {} {sources:?} {} {}",
                text(rule, keys[1]),
                text(rule, "regex"),
                text(rule, "replacement")
            )
        };
        rules.map(rule).collect()
    };
    let (plain, operator) = (["source_labels", "target_label"], ["sourceLabels", "targetLabel"]);
    assert_eq!(
        rules(&config["metric_relabel_configs"], plain),
        rules(&endpoint["metricRelabelings"], operator)
    );
    // The operator sets the job's name, the namespace and the port's filter by itself.
    let plain = rules(&config["relabel_configs"], plain);
    let operator = rules(&endpoint["relabelings"], operator);
    let only_plain: Vec<_> = plain.difference(&operator).collect();
    let only_operator: Vec<_> = operator.difference(&plain).collect();
    assert!(
        matches!(&only_plain[..], [port, namespace]
            if port.starts_with("keep") && port.contains("port_name") && namespace.starts_with("replace namespace")),
        "{only_plain:?}"
    );
    assert!(
        matches!(&only_operator[..], [job] if job.starts_with("replace job")),
        "{only_operator:?}"
    );

    let name = service["metadata"]["name"].as_str().unwrap();
    let selector = config["kubernetes_sd_configs"][0]["selectors"][0]["label"].as_str();
    assert_eq!(selector, Some(format!("kubernetes.io/service-name={name}").as_str()));
    assert_eq!(
        monitor["spec"]["selector"]["matchLabels"],
        service["metadata"]["labels"]
    );
    assert_eq!(endpoint["port"], service["spec"]["ports"][0]["name"]);
    // Unready addresses must not be published as ready.
    assert_eq!(service["spec"].get("publishNotReadyAddresses"), None);
}
