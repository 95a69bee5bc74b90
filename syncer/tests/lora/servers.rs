//! The model server: starting, restarted, replaced, unreachable, with a token, with TLS.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::sync::Arc;

use infertally_harness::Mount;
use infertally_harness::ports::Port;
use infertally_sim::{Sim, SimConfig};
use rcgen::generate_simple_self_signed;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::{
    Config, lines_with, server, start, take_operations, wait_for_polls, wait_for_status, yaml, yaml_at,
};

#[tokio::test]
async fn unhealthy_server_is_waited_for() {
    let server = server().await;
    server.set_behaviour("/health", "status=503").unwrap();
    let config = Config::new();
    config.write(&yaml(&server, "+a=/a"));
    // Polling continues after the timeout.
    let syncer = start(&config, &["--health-check-timeout", "500ms"]).await;
    wait_for_status(&syncer, "a", 0, "unreachable").await;
    assert!(!syncer.is_ready().await);
    infertally_harness::eventually(async || match lines_with(&syncer, "unreachable for 500ms") {
        1 => Ok(()),
        lines => Err(format!("{lines} lines").into()),
    })
    .await
    .unwrap();
    let lists = server
        .received_requests()
        .iter()
        .filter(|call| call.path == "/v1/models")
        .count();
    assert_eq!(lists, 0, "an unhealthy server must not receive a list request");
    server.set_behaviour("/health", "").unwrap();
    wait_for_status(&syncer, "a", 1, "loaded").await;
    assert!(syncer.is_ready().await);
    assert_eq!(lines_with(&syncer, "poll succeeded"), 1);
    assert_eq!(lines_with(&syncer, "unreachable for 500ms"), 1);
}

#[tokio::test]
async fn after_a_restart_adapters_are_0_and_loaded_again() {
    let port = Port::reserve().unwrap();
    let listening = || SimConfig {
        listen: port.address(),
        ..SimConfig::default()
    };
    let server = Sim::start(listening()).await.unwrap();
    let config = Config::new();
    config.write(&yaml(&server, "+a=/a +b=/b"));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "b", 1, "loaded").await;
    assert_eq!(take_operations(&server), ["load a /a", "load b /b"]);
    server.shutdown().await;
    wait_for_status(&syncer, "a", 0, "unreachable").await;
    wait_for_status(&syncer, "b", 0, "unreachable").await;
    let server = Sim::start(listening()).await.unwrap();
    wait_for_status(&syncer, "a", 1, "loaded").await;
    wait_for_status(&syncer, "b", 1, "loaded").await;
    assert_eq!(take_operations(&server), ["load a /a", "load b /b"]);
    // A restart too quick for any poll to fail. The loads were confirmed before.
    wait_for_polls(&server, 1).await;
    server.reset_adapters();
    wait_for_polls(&server, 2).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    assert_eq!(take_operations(&server), ["load a /a", "load b /b"]);
    assert_eq!(
        lines_with(&syncer, "no longer loaded on the server"),
        4,
        "{}",
        syncer.log()
    );
}

/// Gateway API Inference Extension's LoRA sidecar treats a failed list as an empty one.
#[tokio::test]
async fn failed_list_causes_no_action_and_makes_every_status_unknown() {
    let server = Sim::start(SimConfig {
        adapters: vec!["old".to_owned()],
        ..SimConfig::default()
    });
    let server = server.await.unwrap();
    let config = Config::new();
    for (fault, reason) in [
        ("status=500", "unreachable"),
        ("status=200;body=garbage", "unreachable"),
        ("status=200;body=none", "unreachable"),
        ("cut=headers", "unreachable"),
        ("cut=body:20", "unreachable"),
        ("hang=headers", "timeout"),
        ("status=401", "unauthorized"),
    ] {
        server.set_behaviour("/v1/models", fault).unwrap();
        config.write(&yaml(&server, "+a=/a -old"));
        let syncer = start(&config, &["--request-timeout", "300ms"]).await;
        wait_for_status(&syncer, "a", 0, reason).await;
        wait_for_status(&syncer, "old", 0, reason).await;
        wait_for_polls(&server, 2).await;
        assert_eq!(take_operations(&server), Vec::<String>::new(), "{fault}");
    }
    server.set_behaviour("/v1/models", "").unwrap();
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    wait_for_status(&syncer, "old", 0, "excluded").await;
    // A failed list after a good one: no stale 1.
    server.set_behaviour("/v1/models", "status=500").unwrap();
    wait_for_status(&syncer, "a", 0, "unreachable").await;
}

#[tokio::test]
async fn bearer_token_comes_from_a_file_or_an_argument() {
    let server = server().await;
    server.set_api_key(Some("first"));
    let secret = Mount::new().unwrap();
    secret.mount("1", &[("token", "wrong\n")]).unwrap();
    let path = secret.path("token");
    let config = Config::new();
    config.write(&yaml(&server, "+a=/a"));
    let syncer = start(&config, &["--server-token-file", path.to_str().unwrap()]).await;
    wait_for_status(&syncer, "a", 0, "unauthorized").await;
    secret.mount("2", &[("token", "first\n")]).unwrap();
    wait_for_status(&syncer, "a", 1, "loaded").await;
    assert_eq!(take_operations(&server), ["load a /a"]);
    server.set_api_key(Some("second"));
    wait_for_status(&syncer, "a", 0, "unauthorized").await;
    secret.mount("3", &[("token", "second")]).unwrap();
    wait_for_status(&syncer, "a", 1, "loaded").await;
    assert!(!syncer.log().contains("second"), "tokens must not be logged");
    drop(syncer);
    let syncer = start(&config, &["--server-token=second"]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
}

#[tokio::test]
async fn changed_server_is_reconciled_from_scratch() {
    let (first, second) = (server().await, server().await);
    let config = Config::new();
    config.write(&yaml(&first, "+slow=/x-sim/delay=60s/slow +a=/a"));
    let syncer = start(&config, &[]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    config.write(&yaml(&second, "+slow=/slow +a=/a"));
    wait_for_status(&syncer, "slow", 1, "loaded").await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    assert_eq!(take_operations(&second), ["load slow /slow", "load a /a"]);
}

#[tokio::test]
async fn https_server_is_trusted_by_its_ca() {
    let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let server = server().await;
    let port = tls_proxy(&made, &server).await;
    let config = Config::new();
    config.write(&yaml_at("https://localhost", port, "+a=/a"));
    let unknown = start(&config, &[]).await;
    wait_for_status(&unknown, "a", 0, "unreachable").await;
    assert!(unknown.log().contains("certificate"), "{}", unknown.log());
    let files = Mount::new().unwrap();
    files.mount("1", &[("ca.pem", &made.cert.pem())]).unwrap();
    let path = files.path("ca.pem");
    let syncer = start(&config, &["--ca-file", path.to_str().unwrap()]).await;
    wait_for_status(&syncer, "a", 1, "loaded").await;
    assert_eq!(take_operations(&server), ["load a /a"]);
}

/// The port of a TLS proxy in front of the server.
async fn tls_proxy(made: &rcgen::CertifiedKey<rcgen::KeyPair>, server: &Sim) -> u16 {
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let address = server.addr();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut outer) = acceptor.accept(stream).await else {
                    return;
                };
                let mut inner = TcpStream::connect(address).await.unwrap();
                _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });
    port
}
