//! Tests that the recording rules have the pool's averages at each step of a rollout: the table that the syncer is tested
//! with, too. promtool evaluates the rules and the metrics guide's alerts on exact series; a real Prometheus gets its targets
//! as from an EndpointSlice, and scrapes and relabels them as shipped.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed helper fails the test"
)]

use std::collections::BTreeMap;
use std::path::Path;

use infertally_harness::{Behaviour, Pod, Prometheus, Result};
use infertally_harness::{eventually, promtool, repository};
use infertally_rules::shipped;
use serde_json::{Value, json};

const JOB: &str = "infertally-model-servers";
/// Minutes of a step under promtool. Longer than the alerts wait.
const STEP: usize = 10;
/// Each with its recorded series, behind `inference_pool_` or `inference_pool_role_`.
const EXPECTED: [(&str, &str); 5] = [
    ("ready_pods", "ready_pods"),
    ("queue", "average_queue_size"),
    ("running", "average_running_requests"),
    ("kv_cache", "average_kv_cache_utilization"),
    ("saturation", "saturation"),
];
/// What a pod reports, and vLLM's name for it.
const REPORTED: [(&str, &str); 3] = [
    ("queue", "vllm:num_requests_waiting"),
    ("running", "vllm:num_requests_running"),
    ("kv_cache", "vllm:kv_cache_usage_perc"),
];

fn table() -> Vec<Value> {
    let text = std::fs::read_to_string(repository("tests/fixtures/pool/rollouts.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn steps(rollout: &Value) -> &[Value] {
    rollout["steps"].as_array().unwrap()
}

/// The condition `ready` of the pod's endpoint in an EndpointSlice.
fn is_ready(pod: &Value) -> bool {
    pod["condition"] == "True" && pod["terminating"] == false
}

/// The series that the rules record at a step: by name and role, with the value.
fn expected(step: &Value) -> BTreeMap<(String, String), f64> {
    let mut series = BTreeMap::new();
    let roles = step["roles"].as_object().unwrap();
    let roles = roles.iter().map(|(role, values)| (role.as_str(), values));
    for (role, values) in std::iter::once(("", &step["expected"])).chain(roles) {
        for (key, name) in EXPECTED {
            let name = format!("inference_pool_{}{name}", if role.is_empty() { "" } else { "role_" });
            if let Some(value) = values[key].as_f64() {
                series.insert((name, role.to_owned()), value);
            }
        }
    }
    series
}

/// Every name that [`expected`] may have.
fn names() -> Vec<String> {
    let of_prefix = |prefix: &str| EXPECTED.map(|(_, name)| format!("inference_pool_{prefix}{name}"));
    [of_prefix(""), of_prefix("role_")].concat()
}

// === promtool ===

/// A pod's values at each minute in promtool's notation, and a marker of staleness where a series ends.
fn notation(values: &[Option<f64>]) -> String {
    let mut minutes: Vec<String> = Vec::new();
    let mut was = false;
    for value in values {
        let first = match value {
            Some(value) => value.to_string(),
            None if was => "stale".to_owned(),
            None => "_".to_owned(),
        };
        was = value.is_some();
        let rest = value.map_or("_".to_owned(), |value| value.to_string());
        minutes.push(first);
        minutes.extend(std::iter::repeat_n(rest, STEP - 1));
    }
    minutes.join(" ")
}

fn promtool_test(rollout: &Value, guide: &[Value]) -> Value {
    let steps = steps(rollout);
    let mut series = BTreeMap::<String, Vec<Option<f64>>>::new();
    let mut checks = Vec::new();
    let mut alerts = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        for (name, pod) in step["pods"].as_object().unwrap() {
            let role = pod["role"]
                .as_str()
                .map(|role| format!(",role=\"{role}\""))
                .unwrap_or_default();
            let labels = format!("job=\"{JOB}\",namespace=\"ns\",name=\"vllm\",model_server_pod=\"{name}\"{role}");
            let responds = pod["responds"] == true;
            let up = format!("up{{{labels},ready=\"{}\"}}", is_ready(pod));
            let mut add = |name: String, value: f64| {
                series.entry(name).or_insert_with(|| vec![None; steps.len()])[index] = Some(value);
            };
            add(up, f64::from(u8::from(responds)));
            for (key, metric) in REPORTED {
                if let Some(value) = pod[key].as_f64() {
                    add(format!("{metric}{{{labels},engine=\"0\"}}"), value);
                }
            }
        }
        let time = format!("{}m", (index + 1) * STEP - 1);
        let expected = expected(step);
        for name in names() {
            let samples: Vec<_> = expected
                .iter()
                .filter(|((of, _), _)| *of == name)
                .map(|((_, role), value)| {
                    let role = match role.as_str() {
                        "" => String::new(),
                        role => format!(",role=\"{role}\""),
                    };
                    // Rounded, because promtool compares exactly.
                    json!({"labels": format!("{{name=\"vllm\",namespace=\"ns\"{role}}}"), "value": value})
                })
                .collect();
            checks.push(json!({"expr": format!("round({name}, 1e-6)"), "eval_time": time, "exp_samples": samples}));
        }
        for alert in guide {
            let name = alert["alert"].as_str().unwrap();
            let fires = step["alerts"].as_array().unwrap().iter().any(|alert| alert == name);
            let text = |key: &str| {
                let text = alert["annotations"][key].as_str().unwrap();
                text.replace("{{ $labels.name }}", "vllm")
            };
            let mut labels = alert["labels"].clone();
            labels["name"] = "vllm".into();
            labels["namespace"] = "ns".into();
            let firing = json!({
                "exp_labels": labels,
                "exp_annotations": {"title": text("title"), "description": text("description")},
            });
            let firing: Vec<_> = fires.then_some(firing).into_iter().collect();
            alerts.push(json!({"alertname": name, "eval_time": time, "exp_alerts": firing}));
        }
    }
    let series = series
        .iter()
        .map(|(name, values)| json!({"series": name, "values": notation(values)}));
    json!({
        "name": rollout["scenario"],
        "interval": "1m",
        "input_series": series.collect::<Vec<_>>(),
        "promql_expr_test": checks,
        "alert_rule_test": alerts,
    })
}

#[test]
fn promtool_finds_the_averages_and_the_alerts_of_the_guide_at_every_step() {
    let on_pools = |rule: &shipped::Rule| rule.name.starts_with("HighInferencePoolAvg");
    let rules = shipped::rules("alerts.yaml").unwrap().into_iter().filter(on_pools);
    let guide: Vec<_> = rules.map(|rule| rule.yaml).collect();
    assert_eq!(guide.len(), 2);
    let rollouts = table();
    let firing = rollouts
        .iter()
        .flat_map(steps)
        .filter(|step| step["alerts"] != json!([]));
    assert!(firing.count() > 1, "steps in which the alerts fire");
    let tests: Vec<_> = rollouts.iter().map(|rollout| promtool_test(rollout, &guide)).collect();
    let file = json!({
        "rule_files": [shipped::path("recording-rules.yaml"), shipped::path("alerts.yaml")],
        "evaluation_interval": "1m",
        "tests": tests,
    });
    let path = std::env::temp_dir().join(format!("infertally-rollouts-{}.yaml", std::process::id()));
    std::fs::write(&path, file.to_string()).unwrap();
    let result = promtool::run(&["test", "rules"], &path);
    std::fs::remove_file(&path).unwrap();
    result.unwrap();
}

// === a real Prometheus ===

fn behaviour(pod: &Value) -> Behaviour {
    if pod["responds"] == false {
        return Behaviour::Status(503);
    }
    let lines = REPORTED
        .iter()
        .filter_map(|(key, metric)| Some(format!("{metric}{{engine=\"0\"}} {}\n", pod[*key].as_f64()?)));
    let page: String = std::iter::once("python_info 1\n".to_owned()).chain(lines).collect();
    Behaviour::Page(page.into())
}

/// The labels of a target that Prometheus makes of an endpoint in a slice.
fn endpoint(namespace: &str, name: &str, pod: &Value, server: &Pod) -> Value {
    let mut labels = json!({
        "__meta_kubernetes_namespace": namespace,
        "__meta_kubernetes_endpointslice_port_name": "http",
        "__meta_kubernetes_endpointslice_endpoint_conditions_ready": is_ready(pod).to_string(),
        "__meta_kubernetes_pod_name": name,
    });
    if let Some(role) = pod["role"].as_str() {
        labels["__meta_kubernetes_pod_label_llm_d_ai_role"] = role.into();
    }
    json!({"targets": [format!("127.0.0.1:{}", server.port())], "labels": labels})
}

/// Written beside and renamed, so that Prometheus reads it whole.
fn write_targets(path: &Path, targets: &[Value]) {
    let new = path.with_extension("new");
    std::fs::write(&new, json!(targets).to_string()).unwrap();
    std::fs::rename(&new, path).unwrap();
}

async fn start_prometheus(targets: &Path) -> Prometheus {
    let mut servers = shipped::yaml("model-servers-kubernetes.yaml").unwrap();
    let job = servers["scrape_configs"][0].as_object_mut().unwrap();
    assert_eq!(job["job_name"], JOB);
    job.remove("kubernetes_sd_configs").unwrap();
    job.insert("file_sd_configs".to_owned(), json!([{"files": [targets]}]));
    for key in ["scrape_interval", "scrape_timeout"] {
        job.insert(key.to_owned(), "500ms".into());
    }
    let config =
        "global: {evaluation_interval: 250ms}\nrule_files: [rules.yaml]\nscrape_config_files: [servers.yaml]\n";
    let rules = shipped::text("recording-rules.yaml").unwrap();
    let files = [("rules.yaml", rules.as_str()), ("servers.yaml", &servers.to_string())];
    Prometheus::start(config, &files).await.unwrap()
}

/// The recorded series of a name in a namespace, by one label.
async fn recorded(prometheus: &Prometheus, name: &str, namespace: &str, by: &str) -> Result<BTreeMap<String, f64>> {
    let query = format!("{name}{{job=\"\",namespace=\"{namespace}\"}}");
    let series = prometheus.query(&query).await?.into_iter();
    Ok(series
        .map(|(labels, value)| (labels[by].as_str().unwrap_or_default().to_owned(), value))
        .collect())
}

/// Waits until Prometheus has seen each pod as the step has it, and has recorded its averages.
async fn agrees(prometheus: &Prometheus, namespace: &str, step: &Value) {
    let pods = step["pods"].as_object().unwrap();
    let ready: BTreeMap<_, _> = pods
        .iter()
        .map(|(name, pod)| (name.clone(), f64::from(u8::from(is_ready(pod)))))
        .collect();
    let queues: BTreeMap<_, _> = pods
        .iter()
        .filter_map(|(name, pod)| Some((name.clone(), pod["queue"].as_f64()?)))
        .collect();
    let agreed = eventually(async || {
        let found = recorded(prometheus, "inference_pool_pod_ready", namespace, "model_server_pod").await?;
        if found != ready {
            return Err(format!("{}: ready {found:?}, not {ready:?}", step["step"]).into());
        }
        let found = recorded(
            prometheus,
            "inference_pool_per_pod_queue_size",
            namespace,
            "model_server_pod",
        )
        .await?;
        if found != queues {
            return Err(format!("{}: queues {found:?}, not {queues:?}", step["step"]).into());
        }
        let mut found = BTreeMap::new();
        for name in names() {
            for (role, value) in recorded(prometheus, &name, namespace, "role").await? {
                found.insert((name.clone(), role), (value * 1e6).round() / 1e6);
            }
        }
        let expected = expected(step);
        if found != expected {
            return Err(format!("{}: {found:?}, not {expected:?}", step["step"]).into());
        }
        Ok(())
    });
    agreed.await.unwrap();
}

/// All rollouts at once, each in a namespace of its own.
#[tokio::test]
async fn prometheus_finds_the_averages_at_every_step() {
    let folder = std::env::temp_dir().join(format!("infertally-rollouts-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let targets_file = folder.join("targets.json");
    write_targets(&targets_file, &[]);
    let prometheus = start_prometheus(&targets_file).await;
    let rollouts = table();
    let mut servers = BTreeMap::<(String, String), Pod>::new();
    let longest = rollouts.iter().map(|rollout| steps(rollout).len()).max().unwrap();
    for index in 0..longest {
        let mut targets = Vec::new();
        let mut current = Vec::new();
        for (number, rollout) in rollouts.iter().enumerate() {
            let namespace = format!("rollout-{number}");
            // A shorter one stays at its last step.
            let steps = steps(rollout);
            let step = &steps[index.min(steps.len() - 1)];
            for (name, pod) in step["pods"].as_object().unwrap() {
                let key = (namespace.clone(), name.clone());
                if !servers.contains_key(&key) {
                    servers.insert(key.clone(), Pod::start(behaviour(pod)).await.unwrap());
                }
                servers[&key].set(behaviour(pod));
                targets.push(endpoint(&namespace, name, pod, &servers[&key]));
            }
            current.push((namespace, step));
        }
        write_targets(&targets_file, &targets);
        for (namespace, step) in current {
            agrees(&prometheus, &namespace, step).await;
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
