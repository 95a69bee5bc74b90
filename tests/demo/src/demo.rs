//! The demo: a simulated model server, a real Envoy with the shipped configuration, mixed traffic, and the metrics that
//! come out, held against what was sent.

mod table;
mod traffic;

use std::path::PathBuf;

use infertally_sim::{Sim, SimConfig};

use crate::Result;
use crate::envoy::{Binaries, Envoy, Ports, loopback};
use crate::expected::Expected;
use traffic::Sent;

/// The ports that `envoy.yaml` and the documents name.
const PORTS: Ports = Ports {
    listener: 10000,
    admin: 9901,
    stats: 9902,
    upstream: 8000,
};
const WORKERS: u64 = 2;

/// What the demo needs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether it ends by itself.
    pub once: bool,
    /// Envoy.
    pub envoy: PathBuf,
    /// `infertally.wasm`.
    pub wasm: PathBuf,
}

/// Runs the demo.
///
/// # Errors
/// If something does not start, or a metric is not what was sent.
pub async fn run(options: Options) -> Result<()> {
    let Options { once, envoy, wasm } = options;
    let ports = choose_ports();
    let listen = loopback(ports.upstream);
    let sim = Sim::start(SimConfig {
        listen,
        adapters: vec![traffic::ADAPTER.to_owned()],
        ..SimConfig::default()
    })
    .await?;
    println!(
        "model server   http://{}   simulated: {} and its adapter {}",
        sim.addr(),
        traffic::BASE,
        traffic::ADAPTER
    );
    let ports = Ports {
        upstream: sim.addr().port(),
        ..ports
    };
    let binaries = Binaries { envoy, wasm };
    let envoy = if ports.listener == 0 {
        Envoy::start(&binaries, sim.addr(), WORKERS, Ok).await?
    } else {
        Envoy::start_on(&binaries, ports, WORKERS, Ok).await?
    };
    println!(
        "Envoy          http://{}  with envoy.yaml and {}",
        envoy.listener(),
        binaries.wasm.display()
    );

    println!("\nSending through Envoy:");
    let mut expected = Expected::new(WORKERS);
    for Sent { title, count, requests } in traffic::traffic() {
        println!("  {count:>3} × {title}");
        for request in requests {
            expected.add(&request.send(envoy.listener()).await?);
        }
    }
    let stats = envoy
        .scrape_until(|stats| expected.check(stats))
        .await
        .map_err(|error| format!("the metrics are not what was sent:\n{error}"))?;

    println!("\nWhat Envoy tells now:\n");
    print!("{}", table::table(&stats));
    println!(
        "\nAll {} series are there, and every count, byte and token in them equals what was sent.",
        stats.len()
    );
    if once {
        return Ok(());
    }
    let (listener, prometheus, admin) = (envoy.listener(), envoy.stats_listener(), envoy.admin());
    let body = format!(
        r#"{{"model": "{}", "stream": true, "stream_options": {{"include_usage": true}}, "messages": [{{"role": "user", "content": "hello"}}]}}"#,
        traffic::BASE
    );
    println!("\nEverything stays up until Ctrl-C. Open next:");
    println!("  http://{prometheus}/stats/prometheus  what Prometheus scrapes");
    println!("  http://{admin}                   Envoy's admin page");
    println!("  README.md                              how to load the filter into an Envoy of your own");
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

/// The documented ports, or free ones where somebody has one of those.
fn choose_ports() -> Ports {
    let taken: Vec<_> = [PORTS.listener, PORTS.admin, PORTS.stats, PORTS.upstream]
        .into_iter()
        .filter(|port| std::net::TcpListener::bind(loopback(*port)).is_err())
        .map(|port| port.to_string())
        .collect();
    if taken.is_empty() {
        return PORTS;
    }
    println!(
        "port {} is in use here, so the demo takes free ports instead",
        taken.join(", ")
    );
    Ports {
        listener: 0,
        admin: 0,
        stats: 0,
        upstream: 0,
    }
}
