//! A real Prometheus scrapes a real server in protobuf, and has the same series as from the text format.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests panic on failure"
)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use infertally_syncer::exposition::Family;
use infertally_syncer::file::Reload;
use infertally_syncer::serve::auth::Auth;
use infertally_syncer::serve::{Limits, Pages, Server, Settings};

use crate::families::families;
use crate::prometheus::Prometheus;

struct Fixed;

impl Pages for Fixed {
    fn families(&self) -> Vec<Family> {
        families()
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A proxy that keeps what passes.
struct Proxy {
    address: SocketAddr,
    request: Arc<Mutex<Vec<u8>>>,
    response: Arc<Mutex<Vec<u8>>>,
}

// === impl Proxy ===

impl Proxy {
    fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            request: Arc::default(),
            response: Arc::default(),
        };
        let seen = (Arc::clone(&proxy.request), Arc::clone(&proxy.response));
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let upstream = TcpStream::connect(upstream).unwrap();
                let (client_too, upstream_too) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
                let (request, response) = seen.clone();
                thread::spawn(move || pass(client, upstream, &request));
                thread::spawn(move || pass(upstream_too, client_too, &response));
            }
        });
        proxy
    }

    /// The first head of what passed.
    fn head(seen: &Mutex<Vec<u8>>) -> String {
        let seen = seen.lock().unwrap();
        let text = String::from_utf8_lossy(&seen);
        text.split("\r\n\r\n").next().unwrap().to_lowercase()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, seen: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        seen.lock().unwrap().extend_from_slice(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

/// The value of each series of the job, by its name and labels. Prometheus 2 writes a bound of protobuf as OpenMetrics
/// does (`1.0`), one of the text as it is, so bounds are compared as numbers.
fn series(prometheus: &Prometheus, job: &str) -> BTreeMap<String, String> {
    let query = format!("{{job=\"{job}\",__name__=~\"infer.*\"}}");
    let series = prometheus.query(&query).into_iter().map(|(mut labels, value)| {
        let labels = labels.as_object_mut().unwrap();
        labels.remove("job");
        labels.remove("instance");
        if let Some(bound) = labels.get_mut("le") {
            let number: f64 = bound.as_str().unwrap().parse().unwrap();
            *bound = number.to_string().into();
        }
        (serde_json::to_string(labels).unwrap(), value)
    });
    series.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_with_native_histograms_scrapes_protobuf_and_has_the_same_series() {
    let settings = Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        auth: Auth::None,
        tls: None,
        limits: Limits::default(),
        reload: Reload::default(),
    };
    let server = Server::bind(settings).await.unwrap();
    let (protobuf, text) = (Proxy::start(server.address()), Proxy::start(server.address()));
    let server = tokio::spawn(server.run(Arc::new(Fixed), std::future::pending()));

    let job = |name: &str, proxy: &Proxy, more: &str| {
        let address = proxy.address;
        format!(
            "  - job_name: {name}\n    scrape_interval: 1s\n{more}    static_configs:\n      - targets: ['{address}']\n"
        )
    };
    let jobs = [
        job("protobuf", &protobuf, ""),
        job("text", &text, "    scrape_protocols: [PrometheusText0.0.4]\n"),
    ];
    let prometheus = Prometheus::start(&jobs.concat(), 2, &["--enable-feature=native-histograms"]);

    assert!(Proxy::head(&protobuf.request).contains("accept: application/vnd.google.protobuf;"));
    let head = Proxy::head(&protobuf.response);
    assert!(
        head.contains("content-type: application/vnd.google.protobuf;"),
        "{head}"
    );
    assert!(head.contains("content-encoding: gzip"), "{head}");
    let head = Proxy::head(&text.response);
    assert!(head.contains("content-type: text/plain;"), "{head}");

    let (from_protobuf, from_text) = (series(&prometheus, "protobuf"), series(&prometheus, "text"));
    assert!(from_text.len() > 15, "{from_text:?}");
    assert_eq!(from_protobuf, from_text);
    server.abort();
}
