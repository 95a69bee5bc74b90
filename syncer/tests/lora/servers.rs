//! What becomes of a server: not up yet, restarted, another one, one that lets nobody in, one with TLS.
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

use crate::stage::{Config, calls, logged, passes, server, stands, start, yaml, yaml_at};

#[tokio::test]
async fn a_server_that_is_not_up_is_waited_for() {
    let server = server().await;
    server.always("/health", "status=503").unwrap();
    let config = Config::new();
    config.says(&yaml(&server, "+a=/a"));
    // Shorter than what it waits here: it goes on all the same.
    let syncer = start(&config, &["--health-check-timeout", "500ms"]).await;
    stands(&syncer, "a", 0, "unreachable").await;
    assert!(!syncer.is_ready().await);
    infertally_harness::eventually(async || match logged(&syncer, "could not be asked for so long") {
        1 => Ok(()),
        lines => Err(format!("{lines} lines").into()),
    })
    .await
    .unwrap();
    let lists = server.calls().iter().filter(|call| call.path == "/v1/models").count();
    assert_eq!(lists, 0, "who is not well is not asked for more");
    server.always("/health", "").unwrap();
    stands(&syncer, "a", 1, "loaded").await;
    assert!(syncer.is_ready().await);
    assert_eq!(logged(&syncer, "the server can be asked"), 1);
    assert_eq!(logged(&syncer, "could not be asked for so long"), 1);
}

#[tokio::test]
async fn after_a_restart_adapters_fall_to_0_and_are_loaded_again() {
    let port = Port::reserve().unwrap();
    let listening = || SimConfig {
        listen: port.address(),
        ..SimConfig::default()
    };
    let server = Sim::start(listening()).await.unwrap();
    let config = Config::new();
    config.says(&yaml(&server, "+a=/a +b=/b"));
    let syncer = start(&config, &[]).await;
    stands(&syncer, "b", 1, "loaded").await;
    assert_eq!(calls(&server), ["load a /a", "load b /b"]);
    server.shutdown().await;
    stands(&syncer, "a", 0, "unreachable").await;
    stands(&syncer, "b", 0, "unreachable").await;
    let server = Sim::start(listening()).await.unwrap();
    stands(&syncer, "a", 1, "loaded").await;
    stands(&syncer, "b", 1, "loaded").await;
    assert_eq!(calls(&server), ["load a /a", "load b /b"]);
    // One that is so quick that nobody sees it go. What it had just loaded was confirmed before.
    passes(&server, 1).await;
    server.forget_adapters();
    passes(&server, 2).await;
    stands(&syncer, "a", 1, "loaded").await;
    assert_eq!(calls(&server), ["load a /a", "load b /b"]);
    assert_eq!(logged(&syncer, "no longer holds the adapter"), 4, "{}", syncer.log());
}

/// The reference takes a list that it could not get for an empty one.
#[tokio::test]
async fn nothing_follows_from_a_list_that_cannot_be_read() {
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
        server.always("/v1/models", fault).unwrap();
        config.says(&yaml(&server, "+a=/a -old"));
        let syncer = start(&config, &["--request-timeout", "300ms"]).await;
        stands(&syncer, "a", 0, reason).await;
        stands(&syncer, "old", 0, reason).await;
        passes(&server, 2).await;
        assert_eq!(calls(&server), Vec::<String>::new(), "{fault}");
    }
    server.always("/v1/models", "").unwrap();
    let syncer = start(&config, &[]).await;
    stands(&syncer, "a", 1, "loaded").await;
    stands(&syncer, "old", 0, "excluded").await;
    // Known to be loaded; then the list fails: never a 1 of yesterday.
    server.always("/v1/models", "status=500").unwrap();
    stands(&syncer, "a", 0, "unreachable").await;
}

#[tokio::test]
async fn who_wants_a_token_gets_it_from_a_file_or_the_environment() {
    let server = server().await;
    server.set_api_key(Some("first"));
    let secret = Mount::new().unwrap();
    secret.mount("1", &[("token", "wrong\n")]).unwrap();
    let path = secret.path("token");
    let config = Config::new();
    config.says(&yaml(&server, "+a=/a"));
    let syncer = start(&config, &["--server-token-file", path.to_str().unwrap()]).await;
    stands(&syncer, "a", 0, "unauthorized").await;
    secret.mount("2", &[("token", "first\n")]).unwrap();
    stands(&syncer, "a", 1, "loaded").await;
    assert_eq!(calls(&server), ["load a /a"]);
    server.set_api_key(Some("second"));
    stands(&syncer, "a", 0, "unauthorized").await;
    secret.mount("3", &[("token", "second")]).unwrap();
    stands(&syncer, "a", 1, "loaded").await;
    assert!(!syncer.log().contains("second"), "a token is nobody's business");
    drop(syncer);
    let syncer = start(&config, &["--server-token=second"]).await;
    stands(&syncer, "a", 1, "loaded").await;
}

#[tokio::test]
async fn a_change_of_the_server_is_a_new_beginning() {
    let (first, second) = (server().await, server().await);
    let config = Config::new();
    config.says(&yaml(&first, "+slow=/x-sim/delay=60s/slow +a=/a"));
    let syncer = start(&config, &[]).await;
    stands(&syncer, "a", 1, "loaded").await;
    config.says(&yaml(&second, "+slow=/slow +a=/a"));
    stands(&syncer, "slow", 1, "loaded").await;
    stands(&syncer, "a", 1, "loaded").await;
    assert_eq!(calls(&second), ["load slow /slow", "load a /a"]);
}

#[tokio::test]
async fn a_server_with_tls_is_believed_if_its_certificate_is() {
    let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let server = server().await;
    let port = in_tls(&made, &server).await;
    let config = Config::new();
    config.says(&yaml_at("https://localhost", port, "+a=/a"));
    let unknown = start(&config, &[]).await;
    stands(&unknown, "a", 0, "unreachable").await;
    assert!(unknown.log().contains("certificate"), "{}", unknown.log());
    let files = Mount::new().unwrap();
    files.mount("1", &[("ca.pem", &made.cert.pem())]).unwrap();
    let path = files.path("ca.pem");
    let syncer = start(&config, &["--ca-file", path.to_str().unwrap()]).await;
    stands(&syncer, "a", 1, "loaded").await;
    assert_eq!(calls(&server), ["load a /a"]);
}

/// A port where TLS ends before the server.
async fn in_tls(made: &rcgen::CertifiedKey<rcgen::KeyPair>, server: &Sim) -> u16 {
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
