//! HTTP/3: a real Envoy with a QUIC listener, and another with an HTTP/3 cluster as its client. Envoy logs a QUIC stream
//! that ended well too late for a filter to see, and the exchange is recorded all the same, once.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed helper fails the test"
)]

use std::path::PathBuf;

use infertally_harness::capture::Response;
use infertally_harness::checked_envoy::{COMPLETIONS, PROMPT, STREAM, tiny_admitted};
use infertally_harness::connection::{Connection, Disconnect};
use infertally_harness::envoy::{Binaries, Envoy, EnvoyConfig};
use infertally_harness::stats::Stats;
use infertally_harness::{Result, client, edits, eventually};
use infertally_oracle::{Measured, Totals};
use infertally_sim::{Sim, SimConfig};
use serde_json::Value;

/// A certificate in files, which end with it.
struct Certificate {
    folder: PathBuf,
}

// === impl Certificate ===

impl Certificate {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("infertally-http3-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("certificate.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { folder }
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Makes the inference listener one of QUIC.
    fn listen(&self, config: EnvoyConfig) -> Result<EnvoyConfig> {
        let text = config.text();
        let start = text.find("  - name: inference\n").ok_or("no listener")?;
        let head = "    filter_chains:\n    - filters:\n";
        let end = start + text[start..].find(head).ok_or("no filter chain")? + head.len();
        let old = text[start..end].to_owned();
        let quic = format!(
            "    udp_listener_config: {{quic_options: {{}}}}\n    filter_chains:\n    - transport_socket:\n        name: \
             envoy.transport_sockets.quic\n        typed_config: {{\"@type\": \
             type.googleapis.com/envoy.extensions.transport_sockets.quic.v3.QuicDownstreamTransport, \
             downstream_tls_context: {{common_tls_context: {{tls_certificates: [{{certificate_chain: {{filename: {}}}, \
             private_key: {{filename: {}}}}}]}}}}}}\n      filters:\n",
            self.file("certificate.pem"),
            self.file("key.pem")
        );
        let new = old
            .replace(head, &quic)
            .replace("{socket_address: {", "{socket_address: {protocol: UDP, ");
        let config = config.replace(&old, &new)?;
        edits::connection_manager(config, "codec_type: HTTP3")
    }

    /// Makes an Envoy that speaks HTTP/3 to its upstream and has no filter.
    fn connect(&self, config: EnvoyConfig) -> Result<EnvoyConfig> {
        let config = edits::without_infertally(config)?;
        let config = edits::model_server(
            config,
            r#"typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {"@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http3_protocol_options: {}}}}"#,
        )?;
        edits::model_server(
            config,
            &format!(
                r#"transport_socket: {{name: envoy.transport_sockets.quic, typed_config: {{"@type": type.googleapis.com/envoy.extensions.transport_sockets.quic.v3.QuicUpstreamTransport, upstream_tls_context: {{sni: localhost, common_tls_context: {{validation_context: {{trusted_ca: {{filename: {}}}}}}}}}}}}}"#,
                self.file("certificate.pem")
            ),
        )
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Model server, Envoy with the filter, and the Envoy that is its client.
struct Http3 {
    _sim: Sim,
    _certificate: Certificate,
    envoy: Envoy,
    client: Envoy,
}

// === impl Http3 ===

impl Http3 {
    async fn start(name: &str) -> Self {
        let certificate = Certificate::new(name);
        let binaries = Binaries::from_env().unwrap();
        let sim = Sim::start(SimConfig::default()).await.unwrap();
        let envoy = Envoy::start(&binaries, sim.addr(), 1, |config| {
            let config = config.replace(r#""accessLog": false"#, r#""accessLog": true"#)?;
            certificate.listen(tiny_admitted(config)?)
        })
        .await
        .unwrap();
        let client = Envoy::start(&binaries, envoy.listener(), 1, |config| certificate.connect(config))
            .await
            .unwrap();
        Self {
            _sim: sim,
            _certificate: certificate,
            envoy,
            client,
        }
    }

    async fn send(&self, x_sim: &str, body: &[u8]) -> Response {
        let request = client::request("POST", COMPLETIONS, &[("x-sim", x_sim)], body);
        client::exchange(self.client.listener(), &request, usize::MAX)
            .await
            .unwrap()
            .response
    }

    async fn running(&self, wanted: u64) {
        let check = |stats: &Stats| {
            let gauges = stats
                .iter()
                .filter(|(series, _)| series.name == "inference_model_running_requests");
            match gauges.map(|(_, value)| *value).sum::<u64>() {
                seen if seen == wanted => Ok(()),
                seen => Err(format!("{seen} running, must be {wanted}")),
            }
        };
        self.envoy.scrape_until(check).await.unwrap();
    }

    /// The lines of the access log, once there are so many.
    async fn log(&self, count: usize) -> Vec<Value> {
        eventually(|| async {
            let flush = client::request("POST", "/reopen_logs", &[], b"");
            client::exchange(self.envoy.admin(), &flush, usize::MAX).await?;
            let log = self.envoy.log();
            let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            match lines.len() {
                seen if seen == count => Ok(lines),
                seen => Err(format!("{seen} lines of {count}:\n{log}").into()),
            }
        })
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn json_streams_and_errors_are_recorded_once_and_logged() {
    let http3 = Http3::start("ends").await;
    let mut totals = Totals::default();
    for _ in 0..5 {
        for (x_sim, body, error) in [
            ("", PROMPT, None),
            ("", STREAM, None),
            ("status=503", PROMPT, Some("ServiceUnavailable")),
        ] {
            let response = http3.send(x_sim, body).await;
            let exchange = match error {
                None => Measured::simulated(body, &response),
                Some(code) => Measured::response(body, &response).failed(code),
            };
            assert!(error.is_some() || exchange.output_tokens == Some(4), "{response:?}");
            totals.add(exchange);
            http3.envoy.scrape_until(|stats| totals.check(stats)).await.unwrap();
        }
    }
    let lines = http3.log(15).await;
    let field = |line: &Value, name: &str| line[name].as_str().unwrap_or("none").to_owned();
    for line in &lines {
        assert_eq!(field(line, "model_name"), "tiny", "{line}");
        let is_error = field(line, "error_code") == "ServiceUnavailable";
        assert!(is_error || field(line, "output_tokens") == "4", "{line}");
    }
}

#[tokio::test]
async fn aborts_are_recorded_once_and_nothing_stays_running() {
    let http3 = Http3::start("aborts").await;
    let mut totals = Totals::default();
    for body in [PROMPT, STREAM] {
        let mut connection = Connection::connect(http3.client.listener()).await.unwrap();
        let request = client::request("POST", COMPLETIONS, &[("x-sim", "hang=headers")], body);
        connection.send(&request).await.unwrap();
        http3.running(1).await;
        connection.disconnect(Disconnect::Close);
        totals.add(Measured::cancelled(body.len(), 0));
        http3.envoy.scrape_until(|stats| totals.check(stats)).await.unwrap();
    }
    http3.running(0).await;
    http3.log(2).await;
}
