//! Which servers the syncer trusts, what it proves to them, and the reason and log line of each failure.

use infertally_harness::Mount;

use crate::pki::{Ca, Clients, Pair};
use crate::server::Server;
use crate::{failed, lines, logs, logs_failure, reads, syncer};

const LOCALHOST: &[&str] = &["localhost"];

/// A folder with the files of a client.
fn files(ca: &str, pair: Option<&Pair>) -> Mount {
    let files = Mount::new().unwrap();
    let mut content = vec![("ca.crt", ca)];
    if let Some(Pair { certificate, key, .. }) = pair {
        content.extend([("tls.crt", certificate.as_str()), ("tls.key", key.as_str())]);
    }
    files.mount("1", &content).unwrap();
    files
}

fn path(files: &Mount, name: &str) -> String {
    files.path(name).to_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_certificate_that_is_not_accepted_has_reason_tls_and_a_log_line_that_says_why() {
    let (ca, other, predecessor) = (Ca::new("ours"), Ca::new("other"), Ca::new("ours"));
    let https = async |pair: &Pair| Server::https(pair.server()).await;
    let good = https(&ca.sign(LOCALHOST)).await;
    let by_address = https(&ca.sign(&["127.0.0.1"])).await;
    let old_tls = Server::https(ca.sign(LOCALHOST).server_of(&Clients::Anonymous, true)).await;
    let openssl = Pair::self_signed("openssl", true);
    let pinned = Pair::self_signed("pinned", false);
    let pinned_server = https(&pinned).await;
    let failures = [
        (
            "unknown-ca",
            https(&other.sign(LOCALHOST)).await,
            "https://localhost",
            "the server's certificate is signed by an unknown authority",
        ),
        (
            "self-signed",
            https(&Pair::self_signed("itself", false)).await,
            "https://localhost",
            "the server's certificate is signed by an unknown authority",
        ),
        (
            "predecessor",
            https(&predecessor.sign(LOCALHOST)).await,
            "https://localhost",
            "the server's certificate is signed by another authority of the same name",
        ),
        (
            "expired",
            https(&ca.sign_valid(LOCALHOST, 1990, 2000)).await,
            "https://localhost",
            "the server's certificate expired at 2000-01-01T00:00:00Z",
        ),
        (
            "early",
            https(&ca.sign_valid(LOCALHOST, 4000, 4001)).await,
            "https://localhost",
            "the server's certificate is not valid before 4000-01-01T00:00:00Z",
        ),
        (
            "wrong-name",
            https(&ca.sign(&["a.example", "10.0.0.1"])).await,
            "https://localhost",
            "the server's certificate is valid for a.example, 10.0.0.1, not for localhost",
        ),
        (
            "address",
            https(&ca.sign(LOCALHOST)).await,
            "https://127.0.0.1",
            "the server's certificate is valid for localhost, not for 127.0.0.1",
        ),
        (
            "ca-as-server",
            https(&openssl).await,
            "https://localhost",
            "the server's certificate is that of a certificate authority (CA:TRUE)",
        ),
        (
            "needs-client",
            Server::https(ca.sign(LOCALHOST).server_of(&Clients::Required(&other), false)).await,
            "https://localhost",
            "the server requires a client certificate",
        ),
        (
            "needs-client-tls12",
            Server::https(ca.sign(LOCALHOST).server_of(&Clients::Required(&other), true)).await,
            "https://localhost",
            "the server requires a client certificate",
        ),
        (
            "plain",
            Server::http().await,
            "https://localhost",
            "the server does not speak TLS",
        ),
    ];
    let files = files(&[&*ca.pem, &openssl.certificate, &pinned.certificate].concat(), None);
    let mut targets = vec![
        good.target("good", "https://localhost"),
        by_address.target("by-address", "https://127.0.0.1"),
        old_tls.target("old-tls", "https://localhost"),
        pinned_server.target("pinned", "https://localhost"),
        // TLS where http was configured is no failure of TLS.
        good.target("http-to-tls", "http://localhost"),
    ];
    targets.extend(failures.iter().map(|(name, server, base, _)| server.target(name, base)));
    let targets = targets.join(",");
    let syncer = syncer(&["--target-ca-file", &path(&files, "ca.crt"), "--target", &targets]).await;

    reads(&syncer, &["good", "by-address", "old-tls", "pinned"]).await;
    for (name, server, _, text) in &failures {
        logs_failure(&syncer, name, "tls", text).await;
        assert!(server.requests().is_empty(), "{name} received a request");
    }
    logs_failure(&syncer, "http-to-tls", "connect", "").await;
    let unreachable = format!(
        "inference_pool_pods{{name=\"default\",state=\"unreachable\"}} {}",
        failures.len() + 1
    );
    let ready = "inference_pool_ready_pods{name=\"default\"} 4";
    let page = syncer.shows(&[&unreachable, ready], &[]).await.unwrap();
    for (name, ..) in &failures {
        assert!(page.contains(&failed(name, "tls")), "{name}: {page}");
    }
    assert!(page.contains(&failed("http-to-tls", "connect")), "{page}");
    assert!(syncer.is_ready().await);
    assert!(!syncer.log().contains("skip-verify"));
}

#[tokio::test]
async fn without_a_ca_file_only_the_systems_authorities_are_trusted_and_with_one_only_those_in_it() {
    let (ours, systems) = (Ca::new("ours"), Ca::new("the system's"));
    let (server, public) = (
        Server::https(ours.sign(LOCALHOST).server()).await,
        Server::https(systems.sign(LOCALHOST).server()).await,
    );
    let targets = [
        server.target("ours", "https://localhost"),
        public.target("public", "https://localhost"),
    ];
    let files = files(&ours.pem, None);
    files
        .mount("2", &[("ca.crt", &ours.pem), ("system.crt", &systems.pem)])
        .unwrap();
    let start = async |arguments: &[&str]| {
        let mut command = std::process::Command::new(crate::BINARY);
        command
            .args(["pool", "--listen", "127.0.0.1:0", "--target", &targets.join(",")])
            .args(crate::PACE)
            .args(arguments)
            .env("SSL_CERT_FILE", files.path("system.crt"));
        infertally_harness::Syncer::start(&mut command).await.unwrap()
    };
    let unknown = "signed by an unknown authority";
    let syncer = start(&[]).await;
    reads(&syncer, &["public"]).await;
    logs_failure(&syncer, "ours", "tls", unknown).await;
    let syncer = start(&["--target-ca-file", &path(&files, "ca.crt")]).await;
    reads(&syncer, &["ours"]).await;
    logs_failure(&syncer, "public", "tls", unknown).await;
}

#[tokio::test]
async fn a_client_certificate_is_presented_to_servers_that_request_one() {
    let (ca, clients, other) = (Ca::new("servers"), Ca::new("clients"), Ca::new("other"));
    let server = async |of: &Clients<'_>, tls12| Server::https(ca.sign(LOCALHOST).server_of(of, tls12)).await;
    let servers = [
        ("required", server(&Clients::Required(&clients), false).await),
        ("required-tls12", server(&Clients::Required(&clients), true).await),
        ("optional", server(&Clients::Optional(&clients), false).await),
        ("anonymous", server(&Clients::Anonymous, false).await),
        ("other", server(&Clients::Required(&other), false).await),
        ("other-tls12", server(&Clients::Required(&other), true).await),
    ];
    let targets = servers
        .each_ref()
        .map(|(name, server)| server.target(name, "https://localhost"));
    let files = files(&ca.pem, Some(&clients.sign(&["syncer"])));
    let syncer = syncer(&[
        "--target",
        &targets.join(","),
        "--target-ca-file",
        &path(&files, "ca.crt"),
        "--target-cert-file",
        &path(&files, "tls.crt"),
        "--target-key-file",
        &path(&files, "tls.key"),
    ])
    .await;
    reads(&syncer, &["required", "required-tls12", "optional", "anonymous"]).await;
    for (name, server) in &servers[..3] {
        assert!(server.requests().iter().all(|request| request.certificate), "{name}");
    }
    for name in ["other", "other-tls12"] {
        logs_failure(&syncer, name, "tls", "the server rejected the client certificate").await;
    }
    assert!(servers[4].1.requests().is_empty());
}

#[tokio::test]
async fn every_certificate_must_have_the_configured_server_name() {
    let ca = Ca::new("ours");
    let named = Server::https(ca.sign(&["pods.inference.svc"]).server()).await;
    let unnamed = Server::https(ca.sign(&["127.0.0.1", "localhost"]).server()).await;
    let targets = [
        named.target("named", "https://127.0.0.1"),
        unnamed.target("unnamed", "https://127.0.0.1"),
    ];
    let files = files(&ca.pem, None);
    let syncer = syncer(&[
        "--target",
        &targets.join(","),
        "--target-ca-file",
        &path(&files, "ca.crt"),
        "--target-server-name",
        "pods.inference.svc",
    ])
    .await;
    reads(&syncer, &["named"]).await;
    let host = named.requests()[0].header("host").map(str::to_owned);
    assert_eq!(host, Some(format!("127.0.0.1:{}", named.port())));
    let text = "is valid for 127.0.0.1, localhost, not for pods.inference.svc";
    logs_failure(&syncer, "unnamed", "tls", text).await;
}

#[tokio::test]
async fn with_dns_certificates_must_be_for_the_name_and_not_for_the_address() {
    let ca = Ca::new("ours");
    let files = files(&ca.pem, None);
    let start = async |server: &Server, more: &[&str]| {
        let name = format!("localhost:{}", server.port());
        let (ca, pod) = (path(&files, "ca.crt"), format!("127.0.0.1:{}", server.port()));
        let dns = ["--dns", &name, "--metrics-scheme", "https", "--target-ca-file", &ca];
        (syncer(&[&dns[..], more].concat()).await, pod)
    };
    let named = Server::https(ca.sign(LOCALHOST).server()).await;
    let (syncer, pod) = start(&named, &[]).await;
    reads(&syncer, &[&pod]).await;
    let addressed = Server::https(ca.sign(&["127.0.0.1"]).server()).await;
    let (syncer, pod) = start(&addressed, &[]).await;
    logs_failure(&syncer, &pod, "tls", "is valid for 127.0.0.1, not for localhost").await;
    let (syncer, pod) = start(&addressed, &["--target-server-name", "127.0.0.1"]).await;
    reads(&syncer, &[&pod]).await;
}

#[tokio::test]
async fn skipped_verification_accepts_every_certificate_and_is_logged_as_a_warning() {
    let other = Ca::new("other");
    let servers = [
        ("unknown-ca", Server::https(other.sign(LOCALHOST).server()).await),
        (
            "expired",
            Server::https(other.sign_valid(LOCALHOST, 1990, 2000).server()).await,
        ),
        ("wrong-name", Server::https(other.sign(&["a.example"]).server()).await),
        (
            "ca-as-server",
            Server::https(Pair::self_signed("openssl", true).server()).await,
        ),
        (
            "tls12",
            Server::https(other.sign(LOCALHOST).server_of(&Clients::Anonymous, true)).await,
        ),
        (
            "needs-client",
            Server::https(other.sign(LOCALHOST).server_of(&Clients::Required(&other), false)).await,
        ),
    ];
    let targets = servers
        .each_ref()
        .map(|(name, server)| server.target(name, "https://localhost"));
    let syncer = syncer(&["--target", &targets.join(","), "--target-insecure-skip-verify"]).await;
    reads(
        &syncer,
        &["unknown-ca", "expired", "wrong-name", "ca-as-server", "tls12"],
    )
    .await;
    // It is the syncer that verifies nothing; the server still does.
    logs_failure(&syncer, "needs-client", "tls", "requires a client certificate").await;
    logs(
        &syncer,
        "--target-insecure-skip-verify: certificates of model servers are not verified",
        1,
    )
    .await;
    assert_eq!(lines(&syncer, "WARN"), 2, "{}", syncer.log());
}

#[tokio::test]
async fn an_envoy_receives_neither_certificate_nor_token_and_has_a_ca_file_of_its_own() {
    let (ca, envoys) = (Ca::new("servers"), Ca::new("Envoys"));
    let pod = Server::https(ca.sign(LOCALHOST).server_of(&Clients::Optional(&ca), false)).await;
    let envoy = Server::https(envoys.sign(LOCALHOST).server_of(&Clients::Optional(&ca), false)).await;
    let pods = files(&ca.pem, Some(&ca.sign(&["syncer"])));
    pods.mount(
        "2",
        &[("envoys.crt", &envoys.pem), ("token", "secret"), ("ca.crt", &ca.pem)],
    )
    .unwrap();
    let pair = ca.sign(&["syncer"]);
    let certificate = [("tls.crt", pair.certificate.as_str()), ("tls.key", &pair.key)];
    let keys = Mount::new().unwrap();
    keys.mount("1", &certificate).unwrap();
    let syncer = syncer(&[
        "--target",
        &pod.target("pod", "https://localhost"),
        "--envoy",
        &format!("https://localhost:{}/stats", envoy.port()),
        "--envoy-ca-file",
        &path(&pods, "envoys.crt"),
        "--target-ca-file",
        &path(&pods, "ca.crt"),
        "--target-cert-file",
        &path(&keys, "tls.crt"),
        "--target-key-file",
        &path(&keys, "tls.key"),
        "--target-token-file",
        &path(&pods, "token"),
    ])
    .await;
    reads(&syncer, &["pod"]).await;
    let of_pod = &pod.requests()[0];
    assert!(
        of_pod.certificate && of_pod.header("authorization") == Some("Bearer secret"),
        "{of_pod:?}"
    );
    let requested = infertally_harness::eventually(async || match envoy.requests().first() {
        Some(request) => Ok(request.clone()),
        None => Err(syncer.log().into()),
    });
    let of_envoy = requested.await.unwrap();
    assert!(
        !of_envoy.certificate && of_envoy.header("authorization").is_none(),
        "{of_envoy:?}"
    );
}
