//! `--kubernetes` with TLS: flags and annotations decide where the pods' metrics are.

use std::process::Command;

use infertally_harness::{Mount, Syncer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::pki::Ca;
use crate::server::Server;
use crate::{BINARY, PACE, lines, logs, logs_failure, reads};

/// A pod at 127.0.0.1 with these annotations.
fn pod(name: &str, annotations: Value) -> Value {
    json!({
        "metadata": {"name": name, "resourceVersion": "1", "labels": {"app": "vllm"}, "annotations": annotations},
        "status": {"phase": "Running", "podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

/// An API server with one InferencePool and these pods, which never change. Returns its port.
async fn api_server(target_ports: &[u16], pods: Value) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let ports: Vec<_> = target_ports.iter().map(|port| json!({ "number": port })).collect();
    let pool = json!({
        "apiVersion": "inference.networking.k8s.io/v1",
        "kind": "InferencePool",
        "metadata": {"name": "vllm", "resourceVersion": "1"},
        "spec": {"selector": {"matchLabels": {"app": "vllm"}}, "targetPorts": ports},
    });
    let list = |items: Value| json!({"metadata": {"resourceVersion": "1"}, "items": items}).to_string();
    let lists = [("/inferencepools?", list(json!([pool]))), ("/pods?", list(pods))];
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let lists = lists.clone();
            tokio::spawn(async move { respond(socket, &lists).await });
        }
    });
    port
}

async fn respond(mut socket: TcpStream, lists: &[(&str, String)]) -> std::io::Result<()> {
    let mut head = Vec::new();
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            if socket.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let head = String::from_utf8_lossy(&head);
        if head.contains("watch=true") {
            socket
                .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                .await?;
            std::future::pending::<()>().await;
        }
        let (_, list) = lists.iter().find(|(path, _)| head.contains(path)).unwrap();
        let reply = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{list}",
            list.len()
        );
        socket.write_all(reply.as_bytes()).await?;
    }
}

/// A syncer of the pool, with a CA file and `arguments`.
async fn syncer(api_server: u16, files: &Mount, arguments: &[&str]) -> Syncer {
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": format!("http://127.0.0.1:{api_server}")}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "inference"}}],
        "current-context": "test",
    });
    let path = files.path("kubeconfig");
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    let mut command = Command::new(BINARY);
    command
        .args([
            "pool",
            "--listen",
            "127.0.0.1:0",
            "--metrics-auth",
            "none",
            "--pool",
            "default",
        ])
        .args(["--kubernetes", "vllm"])
        .args(PACE)
        .arg("--target-ca-file")
        .arg(files.path("ca.crt"))
        .args(arguments)
        .env("KUBECONFIG", path);
    Syncer::start(&mut command).await.unwrap()
}

#[tokio::test]
async fn flags_say_where_the_pods_metrics_are_and_annotations_override_them() {
    const NAME: &str = "vllm.inference.svc";
    let ca = Ca::new("ours");
    let files = Mount::new().unwrap();
    files.mount("1", &[("ca.crt", &ca.pem), ("token", "secret")]).unwrap();
    let https = async || Server::https(ca.sign(&[NAME]).server()).await;
    let (by_flag, by_annotation, unnamed) = (
        https().await,
        https().await,
        Server::https(ca.sign(&["x"]).server()).await,
    );
    let plain = Server::http().await;
    let port = |server: &Server| server.port().to_string();
    let pods = json!([
        pod("flags", json!({})),
        pod(
            "annotated",
            json!({"prometheus.io/port": port(&by_annotation), "prometheus.io/path": "/own"})
        ),
        pod(
            "plain",
            json!({"prometheus.io/port": port(&plain), "prometheus.io/scheme": "http"})
        ),
        pod(
            "invalid",
            json!({"prometheus.io/port": "metrics", "prometheus.io/scheme": "tls"})
        ),
        pod("unnamed", json!({"prometheus.io/port": port(&unnamed)})),
    ]);
    // Two data-parallel ranks, and one port with the metrics of both.
    let api_server = api_server(&[1, 2], pods).await;
    let (metrics_port, token) = (port(&by_flag), files.path("token"));
    let flags = [
        "--metrics-port",
        &metrics_port,
        "--metrics-scheme",
        "https",
        "--metrics-path",
        "/flag",
        "--target-server-name",
        NAME,
        "--target-token-file",
        token.to_str().unwrap(),
    ];
    let syncer = syncer(api_server, &files, &flags).await;
    reads(&syncer, &["flags", "annotated", "plain", "invalid"]).await;
    logs_failure(&syncer, "unnamed", "tls", "is valid for x, not for vllm.inference.svc").await;
    logs(&syncer, "ignoring invalid annotations of the pod", 1).await;
    assert_eq!(
        lines(
            &syncer,
            "pod=invalid invalid=prometheus.io/port: \"metrics\", prometheus.io/scheme: \"tls\""
        ),
        1,
        "{}",
        syncer.log()
    );
    for (server, path, token) in [
        (&by_flag, "GET /flag ", Some("Bearer secret")),
        (&by_annotation, "GET /own ", Some("Bearer secret")),
        (&plain, "GET /flag ", None),
    ] {
        let request = &server.requests()[0];
        assert!(request.head.starts_with(path), "{request:?}");
        assert_eq!(request.header("authorization"), token);
    }
}

#[tokio::test]
async fn annotations_can_be_ignored() {
    let ca = Ca::new("ours");
    let files = Mount::new().unwrap();
    files.mount("1", &[("ca.crt", &ca.pem)]).unwrap();
    let (server, other) = (Server::http().await, Server::http().await);
    let pods = json!([pod(
        "a",
        json!({"prometheus.io/port": other.port().to_string(), "prometheus.io/scheme": "x"})
    )]);
    let api_server = api_server(&[server.port()], pods).await;
    let syncer = syncer(api_server, &files, &["--ignore-pod-annotations"]).await;
    reads(&syncer, &["a"]).await;
    assert!(other.requests().is_empty());
    assert_eq!(lines(&syncer, "invalid annotations"), 0);
}
