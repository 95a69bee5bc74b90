//! Starts everything on the documented ports, sends the traffic, holds every number against what was sent, and shows
//! them.

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

use crate::served::{Loads, Page, check_adapters, check_models, check_pool};
use crate::table;
use crate::traffic::{self, Sent};

/// The ports that `envoy.yaml` and the documents name.
const ENVOY_PORTS: Ports = Ports {
    listener: Port::fixed(10000),
    admin: Port::fixed(9901),
    stats: Port::fixed(9902),
    upstream: 8000,
};
/// Of the second model server, which stands in the pool and not behind Envoy.
const OTHER_SERVER_PORT: u16 = 8001;
const SYNCER_PORT: u16 = 9090;
const LORA_PORT: u16 = 8080;
const WORKERS: u64 = 2;
/// The pods of the pool.
const PODS: [&str; 2] = ["vllm-0", "vllm-1"];
/// An adapter that is wanted, and is not where it should be.
const MISSING: &str = "lora-b";
/// The file of the LoRA role.
const ADAPTERS: &str = "configmap.yaml";
/// Requests that the second server gets directly; it runs one at a time, so the others wait.
const HELD: usize = 2;

/// The whole product, with simulated model servers and traffic; prints the metrics that come out
#[derive(Clone, Debug, clap::Parser)]
pub(crate) struct Options {
    /// End by itself; fail unless every metric equals what was sent
    #[arg(long)]
    once: bool,
    /// The filter
    #[arg(long, value_name = "FILE")]
    wasm: PathBuf,
    /// The syncer
    #[arg(long, value_name = "FILE")]
    syncer: PathBuf,
    /// The Envoy binary
    #[arg(long, value_name = "FILE")]
    envoy: PathBuf,
}

/// Everything that runs.
struct Demo {
    servers: [Sim; 2],
    envoy: Envoy,
    syncer: Syncer,
    lora: Syncer,
    /// The role's configuration.
    _adapters: Mount,
}

/// Runs the demo.
///
/// # Errors
/// If something does not start, or a metric is not what was sent.
pub(crate) async fn run(options: Options) -> Result<()> {
    let demo = Demo::start(&options).await?;
    let stats = demo.send_traffic().await?;
    println!(
        "\nHolding {HELD} requests at {}, which runs one at a time, so that one waits.",
        PODS[1]
    );
    let held = demo.hold().await?;
    let page = demo.held_against(&stats).await?;

    println!(
        "\nWhat the syncer tells now, on http://{}/metrics, and last its LoRA role, on http://{}/metrics:\n",
        demo.syncer.address(),
        demo.lora.address()
    );
    print!("{}", table::table(&page));
    println!(
        "\nEvery one of the filter's {} series is there as Envoy has it, and every count, byte and token equals what was \
         sent. The pool's gauges are what the model servers say, and {} is not loaded because it is not there.",
        stats.len(),
        MISSING
    );
    if !options.once {
        demo.stay(held).await?;
    }
    Ok(())
}

// === impl Demo ===

impl Demo {
    async fn start(options: &Options) -> Result<Self> {
        let free = free_ports();
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
            server(OTHER_SERVER_PORT, Some(1)).await?,
        ];
        for (pod, server) in PODS.iter().zip(&servers) {
            println!(
                "{pod}   http://{:<15}  a simulated model server, {}",
                server.addr(),
                traffic::BASE
            );
        }
        let [behind_envoy, _] = &servers;
        let adapters = Mount::new()?;
        adapters.mount("1", &[(ADAPTERS, &wanted_adapters(behind_envoy.addr()))])?;
        let port_of_lora = port(LORA_PORT).to_string();
        let lora = Syncer::start(
            Command::new(&options.syncer)
                .args([
                    "lora",
                    "--metrics-address",
                    "127.0.0.1",
                    "--metrics-port",
                    &port_of_lora,
                ])
                .arg("--config")
                .arg(adapters.path(ADAPTERS)),
        )
        .await?;
        println!(
            "lora     http://{:<15}  the syncer's LoRA role: it keeps {}'s adapters, {} and {MISSING}",
            lora.address(),
            PODS[0],
            traffic::ADAPTER,
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
            "Envoy    http://{:<15}  with envoy.yaml and {}, in front of {}",
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
        println!("syncer   http://{:<15}  reads both servers and Envoy", syncer.address());
        let demo = Self {
            servers,
            envoy,
            syncer,
            lora,
            _adapters: adapters,
        };
        // Requests for the adapter are on their way next.
        demo.adapters().await?;
        Ok(demo)
    }

    /// Gives what Envoy tells of it, which is what was sent.
    async fn send_traffic(&self) -> Result<Stats> {
        println!("\nSending through Envoy:");
        let mut expected = Expected::new(WORKERS);
        for Sent { title, count, requests } in traffic::traffic() {
            println!("  {count:>3} × {title}");
            for request in requests {
                expected.add(&request.send(self.envoy.listener()).await?);
            }
        }
        self.envoy
            .scrape_until(|stats| expected.check(stats))
            .await
            .map_err(|error| format!("the metrics are not what was sent:\n{error}").into())
    }

    /// The LoRA role's page, once one adapter is loaded and the other has failed.
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
        .map_err(|error| format!("the adapters are not what they must be:\n{error}\n{}", self.lora.log()).into())
    }

    /// Requests that stay as long as their connections.
    async fn hold(&self) -> Result<Vec<TcpStream>> {
        let [_, server] = &self.servers;
        let mut held = Vec::new();
        for _ in 0..HELD {
            let mut connection = TcpStream::connect(server.addr()).await?;
            connection.write_all(&traffic::held()).await?;
            held.push(connection);
        }
        Ok(held)
    }

    /// The syncer's page, once it says what Envoy and the servers say.
    async fn held_against(&self, stats: &Stats) -> Result<Page> {
        let loads = eventually(async || {
            let mut loads = Loads::new();
            for (pod, server) in PODS.iter().zip(&self.servers) {
                let page = parse_values(&get(server.addr(), "/metrics").await?)?;
                loads.push((
                    pod,
                    of_server(&page, "num_requests_waiting")?,
                    of_server(&page, "kv_cache_usage_perc")?,
                ));
            }
            match loads.as_slice() {
                [(_, 0.0, _), (_, 1.0, _)] => Ok(loads),
                _ => Err(format!("the held requests are not yet held: {loads:?}").into()),
            }
        })
        .await?;
        let adapters = self.adapters().await?;
        eventually(async || {
            let mut page = parse_values(&self.syncer.metrics().await?)?;
            check_models(&page, stats)?;
            check_pool(&page, &loads)?;
            if !page.keys().any(|series| series.name == "inference_extension_info") {
                return Err("no inference_extension_info".into());
            }
            page.extend(adapters.clone());
            Ok(page)
        })
        .await
        .map_err(|error| {
            format!(
                "the syncer's page is not what it must be:\n{error}\n{}",
                self.syncer.log()
            )
            .into()
        })
    }

    async fn stay(&self, _held: Vec<TcpStream>) -> Result<()> {
        let (listener, prometheus, admin) = (self.envoy.listener(), self.envoy.stats_listener(), self.envoy.admin());
        let syncer: SocketAddr = self.syncer.address();
        let body = format!(
            r#"{{"model": "{}", "stream": true, "stream_options": {{"include_usage": true}}, "messages": [{{"role": "user", "content": "hello"}}]}}"#,
            traffic::BASE
        );
        println!("\nEverything stays up until Ctrl-C. Open next:");
        println!("  http://{syncer}/metrics            all of it, typed, in one scrape");
        println!(
            "  http://{}/metrics            the adapters' part, with each one's reason",
            self.lora.address()
        );
        println!("  http://{prometheus}/stats/prometheus   the filter's part, from Envoy itself");
        println!("  http://{admin}                    Envoy's admin page");
        println!("  README.md                                how to load the filter into an Envoy of your own");
        println!("Or send a request of your own and look again:");
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

/// What the LoRA role is to see to.
fn wanted_adapters(server: SocketAddr) -> String {
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

/// A model server's own gauge.
fn of_server(page: &Page, name: &str) -> Result<f64> {
    let name = format!("vllm:{name}");
    let found = page.iter().find(|(series, _)| series.name == name);
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| format!("no {name} from the model server").into())
}

/// Whether free ports must be taken, because somebody has one of the documented ones.
fn free_ports() -> bool {
    let Ports {
        listener,
        admin,
        stats,
        upstream,
    } = ENVOY_PORTS;
    let taken: Vec<_> = [
        listener.number(),
        admin.number(),
        stats.number(),
        upstream,
        OTHER_SERVER_PORT,
        SYNCER_PORT,
        LORA_PORT,
    ]
    .into_iter()
    .filter(|port| std::net::TcpListener::bind(loopback(*port)).is_err())
    .map(|port| port.to_string())
    .collect();
    if !taken.is_empty() {
        let taken = taken.join(", ");
        println!("port {taken} is in use here, so the demo takes free ports instead");
    }
    !taken.is_empty()
}
