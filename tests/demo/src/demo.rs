//! Starts everything on the documented ports, sends the traffic, checks every metric against what was sent, and prints them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use infertally_harness::client::get;
use infertally_harness::envoy::{Binaries, Envoy, Ports, loopback};
use infertally_harness::ports::Port;
use infertally_harness::stats::{Stats, parse_values};
use infertally_harness::{Mount, Syncer};
use infertally_harness::{Result, eventually};
use infertally_oracle::Expected;
use infertally_sim::{Sim, SimConfig};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::checks::{Loads, Page, check_adapters, check_filter, check_pool};
use crate::table;
use crate::traffic::{self, Batch};

/// The ports in `envoy.yaml` and the documents.
const ENVOY_PORTS: Ports = Ports {
    listener: Port::fixed(10000),
    admin: Port::fixed(9901),
    stats: Port::fixed(9902),
    upstream: 8000,
};
/// The second model server, which is in the pool but not behind Envoy.
const SECOND_SERVER_PORT: u16 = 8001;
const SYNCER_PORT: u16 = 9090;
const LORA_PORT: u16 = 8080;
const WORKERS: u64 = 2;
/// The pods of the pool.
const PODS: [&str; 2] = ["vllm-0", "vllm-1"];
/// An adapter in the configuration whose files are missing.
const MISSING: &str = "lora-b";
/// The configuration file of the LoRA role.
const ADAPTERS: &str = "configmap.yaml";
/// Requests sent directly to the second server, which runs one at a time, so that one is queued.
const HANGING: usize = 2;

/// Run infertally with simulated model servers and traffic, check the metrics and print them
#[derive(Clone, Debug, clap::Parser)]
pub(crate) struct Options {
    /// Exit after the checks instead of waiting for Ctrl-C
    #[arg(long)]
    once: bool,
    /// The filter
    #[arg(long, value_name = "FILE")]
    wasm: PathBuf,
    /// The syncer's binary
    #[arg(long, value_name = "FILE")]
    syncer: PathBuf,
    /// The Envoy binary
    #[arg(long, value_name = "FILE")]
    envoy: PathBuf,
}

/// The running processes.
struct Demo {
    servers: [Sim; 2],
    envoy: Envoy,
    syncer: Syncer,
    lora: Syncer,
    /// The configuration of the LoRA role.
    _adapters: Mount,
}

/// Runs the demo.
///
/// # Errors
/// If something does not start, or a metric differs from what was sent.
pub(crate) async fn run(options: Options) -> Result<()> {
    let demo = Demo::start(&options).await?;
    demo.send_traffic().await?;
    println!(
        "\nSending {HANGING} requests that do not complete to {}, which runs one at a time and queues the other.",
        PODS[1]
    );
    let hanging = demo.send_hanging().await?;
    let (stats, page) = demo.verify().await?;

    println!(
        "\nMetrics of the syncer (http://{}/metrics) and of its LoRA role (http://{}/metrics):\n",
        demo.syncer.address(),
        demo.lora.address()
    );
    print!("{}", table::table(&page));
    println!("\nChecked:");
    println!(
        "  filter  all {} series equal Envoy's, and every count, byte and token equals what was sent",
        stats.len()
    );
    println!("  pool    the gauges equal the load that the model servers report");
    println!(
        "  lora    {} is loaded; {MISSING} is not, because its files are missing",
        traffic::ADAPTER
    );
    if !options.once {
        demo.wait_for_signal(hanging).await?;
    }
    Ok(())
}

// === impl Demo ===

impl Demo {
    async fn start(options: &Options) -> Result<Self> {
        let free = needs_free_ports();
        let port = |port: u16| if free { 0 } else { port };
        let server = async |listen: u16, max_running| {
            Sim::start(SimConfig {
                listen: loopback(port(listen)),
                max_running,
                ..SimConfig::default()
            })
            .await
        };
        let servers = [
            server(ENVOY_PORTS.upstream, None).await?,
            server(SECOND_SERVER_PORT, Some(1)).await?,
        ];
        for (pod, server) in PODS.iter().zip(&servers) {
            println!(
                "{pod:<7} http://{:<15}  simulated model server with the model {}",
                server.addr(),
                traffic::BASE
            );
        }
        let [behind_envoy, _] = &servers;
        let adapters = Mount::new()?;
        adapters.mount("1", &[(ADAPTERS, &lora_config(behind_envoy.addr()))])?;
        let lora_port = port(LORA_PORT).to_string();
        let lora = Syncer::start(
            Command::new(&options.syncer)
                .args(["lora", "--metrics-address", "127.0.0.1", "--metrics-port", &lora_port])
                .arg("--config")
                .arg(adapters.path(ADAPTERS)),
        )
        .await?;
        println!(
            "lora    http://{:<15}  syncer in its LoRA role, for the adapters {} and {MISSING} of {}",
            lora.address(),
            traffic::ADAPTER,
            PODS[0],
        );
        let binaries = Binaries {
            envoy: options.envoy.clone(),
            wasm: options.wasm.clone(),
        };
        let envoy = if free {
            Envoy::start(&binaries, behind_envoy.addr(), WORKERS, Ok).await?
        } else {
            Envoy::start_on(&binaries, ENVOY_PORTS, WORKERS, Ok).await?
        };
        println!(
            "envoy   http://{:<15}  Envoy with envoy.yaml and {}, in front of {}",
            envoy.listener(),
            options.wasm.display(),
            PODS[0]
        );
        let mut command = Command::new(&options.syncer);
        command.args(["pool", "--listen", &loopback(port(SYNCER_PORT)).to_string()]);
        for (pod, server) in PODS.iter().zip(&servers) {
            command.arg("--target").arg(format!("{pod}=http://{}", server.addr()));
        }
        command.arg("--envoy").arg(format!("http://{}", envoy.stats_listener()));
        let syncer = Syncer::start(&mut command).await?;
        println!(
            "syncer  http://{:<15}  syncer in its pool role, scrapes both model servers and Envoy",
            syncer.address()
        );
        let demo = Self {
            servers,
            envoy,
            syncer,
            lora,
            _adapters: adapters,
        };
        // The traffic uses the adapter.
        demo.adapters().await?;
        Ok(demo)
    }

    /// Sends the traffic and waits until Envoy's metrics equal it.
    async fn send_traffic(&self) -> Result<()> {
        println!("\nSending through Envoy:");
        let mut expected = Expected::new(WORKERS);
        for Batch { title, count, requests } in traffic::traffic() {
            println!("  {count:>3} × {title}");
            for request in requests {
                expected.add(&request.send(self.envoy.listener()).await?);
            }
        }
        self.envoy
            .scrape_until(|stats| expected.check(stats))
            .await
            .map_err(|error| format!("the metrics differ from what was sent:\n{error}"))?;
        Ok(())
    }

    /// Waits until one adapter is loaded and the other has failed. Returns the page of the LoRA role.
    async fn adapters(&self) -> Result<Page> {
        eventually(async || {
            let page = parse_values(&self.lora.metrics().await?)?;
            check_adapters(
                &page,
                &[(traffic::ADAPTER, 1.0, "loaded"), (MISSING, 0.0, "load_failed")],
            )?;
            Ok(page)
        })
        .await
        .map_err(|error| {
            format!(
                "the status of the adapters is not as expected:\n{error}\n{}",
                self.lora.log()
            )
            .into()
        })
    }

    /// Sends requests that run until their connections are closed.
    async fn send_hanging(&self) -> Result<Vec<TcpStream>> {
        let [_, server] = &self.servers;
        let mut connections = Vec::new();
        for _ in 0..HANGING {
            let mut connection = TcpStream::connect(server.addr()).await?;
            connection.write_all(&traffic::hanging()).await?;
            connections.push(connection);
        }
        Ok(connections)
    }

    /// Waits until the syncer's metrics equal those of Envoy and the model servers. Returns Envoy's and the syncer's.
    async fn verify(&self) -> Result<(Stats, Page)> {
        let loads = eventually(async || {
            let mut loads = Loads::new();
            for (pod, server) in PODS.iter().zip(&self.servers) {
                let page = parse_values(&get(server.addr(), "/metrics").await?)?;
                loads.push((
                    pod,
                    gauge(&page, "num_requests_waiting")?,
                    gauge(&page, "kv_cache_usage_perc")?,
                ));
            }
            match loads.as_slice() {
                [(_, 0.0, _), (_, 1.0, _)] => Ok(loads),
                _ => Err(format!("the requests are not running and queued yet: {loads:?}").into()),
            }
        })
        .await?;
        let adapters = self.adapters().await?;
        eventually(async || {
            let mut page = parse_values(&self.syncer.metrics().await?)?;
            // Read at each attempt: some gauges appear with the filter's first heartbeat.
            let stats = self.envoy.scrape().await?;
            check_filter(&page, &stats)?;
            check_pool(&page, &loads)?;
            if !page.keys().any(|series| series.name == "inference_extension_info") {
                return Err("  inference_extension_info is missing".into());
            }
            page.extend(adapters.clone());
            Ok((stats, page))
        })
        .await
        .map_err(|error| {
            format!(
                "the metrics of the syncer are not as expected:\n{error}\n{}",
                self.syncer.log()
            )
            .into()
        })
    }

    async fn wait_for_signal(&self, _connections: Vec<TcpStream>) -> Result<()> {
        let (listener, prometheus, admin) = (self.envoy.listener(), self.envoy.stats_listener(), self.envoy.admin());
        let syncer: SocketAddr = self.syncer.address();
        let body = format!(
            r#"{{"model": "{}", "stream": true, "stream_options": {{"include_usage": true}}, "messages": [{{"role": "user", "content": "hello"}}]}}"#,
            traffic::BASE
        );
        println!("\nRunning until Ctrl-C. Next:");
        println!("  http://{syncer}/metrics            all metrics, with types, in one scrape");
        println!(
            "  http://{}/metrics            the adapters, with the reason for each status",
            self.lora.address()
        );
        println!("  http://{prometheus}/stats/prometheus   the filter's metrics, from Envoy itself");
        println!("  http://{admin}                    Envoy's admin interface");
        println!("  README.md                                how to load the filter into your own Envoy");
        println!("Or send a request and check the metrics again:");
        println!("  curl http://{listener}/v1/chat/completions -H 'content-type: application/json' -d '{body}'");
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => pressed?,
            _ = terminate.recv() => {}
        }
        println!();
        Ok(())
    }
}

/// The configuration of the LoRA role.
fn lora_config(server: SocketAddr) -> String {
    let (host, port) = (server.ip(), server.port());
    let (base, adapter) = (traffic::BASE, traffic::ADAPTER);
    format!(
        "vLLMLoRAConfig:
  host: {host}
  port: {port}
  defaultBaseModel: {base}
  ensureExist:
    models:
    - id: {adapter}
      source: /adapters/{adapter}
    - id: {MISSING}
      source: /missing/{MISSING}
"
    )
}

/// Returns a gauge of a model server.
fn gauge(page: &Page, name: &str) -> Result<f64> {
    let name = format!("vllm:{name}");
    let found = page.iter().find(|(series, _)| series.name == name);
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| format!("the model server does not report {name}").into())
}

/// Whether a documented port is in use, so that the demo has to use free ports.
fn needs_free_ports() -> bool {
    let Ports {
        listener,
        admin,
        stats,
        upstream,
    } = ENVOY_PORTS;
    let in_use: Vec<_> = [
        listener.number(),
        admin.number(),
        stats.number(),
        upstream,
        SECOND_SERVER_PORT,
        SYNCER_PORT,
        LORA_PORT,
    ]
    .into_iter()
    .filter(|port| std::net::TcpListener::bind(loopback(*port)).is_err())
    .map(|port| port.to_string())
    .collect();
    if !in_use.is_empty() {
        let in_use = in_use.join(", ");
        println!("The demo uses free ports, because these are in use: {in_use}");
    }
    !in_use.is_empty()
}
