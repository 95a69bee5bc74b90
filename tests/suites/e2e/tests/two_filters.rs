//! Two filters with different configurations in one Envoy, in one kind of VM or in two: the gauges are those of the whole
//! process, and follow when a configuration is replaced.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use std::path::PathBuf;

use infertally_harness::checked_envoy::COMPLETIONS;
use infertally_harness::client;
use infertally_harness::envoy::{Binaries, Envoy};
use infertally_harness::ports::Port;
use infertally_harness::stats::Stats;
use infertally_sim::{Sim, SimConfig};

const SHIPPED: &str = r#"{"models": [], "maxModels": 200, "accessLog": false}"#;
const ONE_ERROR: &str = r#"{"models": [], "modles": []}"#;
const TWO_ERRORS: &str = r#"{"models": [], "maxModels": "many", "accesslog": true}"#;

/// An Envoy with two inference listeners, which it reads from a file.
struct Two {
    _sim: Sim,
    envoy: Envoy,
    second: Port,
    folder: PathBuf,
}

// === impl Two ===

impl Two {
    async fn start(name: &str, second_vm: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("infertally-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let sim = Sim::start(SimConfig {
            adapters: vec!["lora-a".to_owned(), "lora-b".to_owned()],
            ..SimConfig::default()
        })
        .await
        .unwrap();
        let second = Port::reserve().unwrap();
        let envoy = Envoy::start(&Binaries::from_env().unwrap(), sim.addr(), 2, |config| {
            let text = config.text();
            let start = text.find("  - name: inference\n").ok_or("no listener")?;
            let end = text.find("  # (3)").ok_or("no third part")?;
            let listener = text[start..end].to_owned();
            let first_port = listener
                .split_once("port_value: ")
                .and_then(|(_, rest)| rest.split_once('}'))
                .ok_or("no port")?
                .0;
            let typed = |name: &str| {
                let head =
                    format!("  - \"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\n    name: {name}\n");
                listener.replace("  - name: inference\n", &head)
            };
            let first = typed("inference").replace(SHIPPED, ONE_ERROR);
            let second = typed("inference_2")
                .replace(SHIPPED, TWO_ERRORS)
                .replace(
                    &format!("port_value: {first_port}}}"),
                    &format!("port_value: {}}}", second.number()),
                )
                .replace("vm_id: infertally", &format!("vm_id: {second_vm}"));
            std::fs::write(folder.join("lds.yaml"), format!("resources:\n{first}{second}"))?;
            let dynamic = format!(
                "node: {{id: test, cluster: test}}\ndynamic_resources: {{lds_config: {{path_config_source: {{path: \
                 {}}}}}}}\nstatic_resources:\n",
                folder.join("lds.yaml").display()
            );
            config.replace(&listener, "")?.replace("static_resources:\n", &dynamic)
        })
        .await
        .unwrap();
        Self {
            _sim: sim,
            envoy,
            second,
            folder,
        }
    }

    /// Replaces a configuration, by a rename, which is what Envoy watches for.
    fn replace(&self, old: &str, new: &str) {
        let before = std::fs::read_to_string(self.folder.join("lds.yaml")).unwrap();
        assert!(before.contains(old), "{before}");
        std::fs::write(self.folder.join("new"), before.replace(old, new)).unwrap();
        std::fs::rename(self.folder.join("new"), self.folder.join("lds.yaml")).unwrap();
    }

    async fn gauge(&self, name: &str, wanted: u64) {
        let check = |stats: &Stats| {
            let values = stats.iter().filter(|(series, _)| series.name == name);
            match values.map(|(_, value)| *value).sum::<u64>() {
                seen if seen == wanted => Ok(()),
                seen => Err(format!("{name} is {seen}, must be {wanted}")),
            }
        };
        self.envoy.scrape_until(check).await.unwrap();
    }

    async fn traffic(&self, admitted: u64) {
        let (first, second) = (self.envoy.listener(), self.second.address());
        for (to, model) in [(first, "lora-a"), (second, "lora-a"), (second, "lora-b")] {
            let body = format!(r#"{{"model":"{model}","prompt":"a b c","max_tokens":4}}"#);
            let request = client::request("POST", COMPLETIONS, &[], body.as_bytes());
            let response = client::exchange(to, &request, usize::MAX).await.unwrap().response;
            assert_eq!(response.status, 200);
        }
        self.gauge("infertally_filter_admitted_models", admitted).await;
        self.gauge("inference_model_request_total", 3).await;
        let body = br#"{"model":"lora-a","prompt":"a","stream":true,"max_tokens":9}"#;
        let request = client::request("POST", COMPLETIONS, &[("x-sim", "hang=event:3")], body);
        let streams = [first, second].map(|to| {
            let request = request.clone();
            tokio::spawn(async move { client::disconnect_after_events(to, &request, usize::MAX).await })
        });
        self.gauge("inference_model_running_requests", 2).await;
        for stream in streams {
            stream.abort();
        }
        self.gauge("inference_model_running_requests", 0).await;
    }

    async fn check(&self, admitted: u64) {
        const ERRORS: &str = "infertally_filter_config_errors";
        self.gauge(ERRORS, 3).await;
        self.traffic(admitted).await;
        self.gauge(ERRORS, 3).await;
        // Fixed in one filter, then in the other.
        self.replace(ONE_ERROR, r#"{"models": []}"#);
        self.gauge(ERRORS, 2).await;
        self.replace(TWO_ERRORS, r#"{"models": ["x"]}"#);
        self.gauge(ERRORS, 0).await;
        // What was admitted stays so, whoever counts it.
        self.gauge("infertally_filter_admitted_models", admitted).await;
    }
}

impl Drop for Two {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn gauges_of_two_filters_in_the_same_vm_add_up() {
    // Names are admitted once for all filters of a `vm_id`.
    Two::start("one-vm", "infertally").await.check(2).await;
}

#[tokio::test]
async fn gauges_of_two_filters_in_different_vms_add_up() {
    Two::start("two-vms", "other").await.check(3).await;
}
