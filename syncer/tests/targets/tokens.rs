//! The bearer token: sent over https, re-read when it changes, and disclosed to nobody else.

use infertally_harness::Mount;

use crate::pki::Ca;
use crate::server::Server;
use crate::{failed, lines, logs, logs_failure, reads, syncer};

struct Setup {
    ca: Ca,
    files: Mount,
}

impl Setup {
    fn new(token: &str) -> Self {
        let (ca, files) = (Ca::new("ours"), Mount::new().unwrap());
        files.mount("1", &[("ca.crt", &ca.pem), ("token", token)]).unwrap();
        Self { ca, files }
    }

    async fn https(&self) -> Server {
        Server::https(self.ca.sign(&["localhost"]).server()).await
    }

    fn path(&self, name: &str) -> String {
        self.files.path(name).to_str().unwrap().to_owned()
    }

    /// Replaces the token, or removes the file.
    fn rotate(&self, version: &str, token: Option<&str>) {
        let mut files = vec![("ca.crt", self.ca.pem.as_str())];
        files.extend(token.map(|token| ("token", token)));
        self.files.mount(version, &files).unwrap();
    }

    async fn syncer(&self, targets: &[String], more: &[&str]) -> infertally_harness::Syncer {
        let (targets, ca, token) = (targets.join(","), self.path("ca.crt"), self.path("token"));
        let files = [
            "--target",
            &targets,
            "--target-ca-file",
            &ca,
            "--target-token-file",
            &token,
        ];
        syncer(&[&files[..], more].concat()).await
    }
}

#[tokio::test]
async fn a_rotated_token_is_sent_and_a_broken_one_leaves_the_last_in_effect() {
    const KEPT: &str = "cannot reload the bearer token for scrapes; keeping the one in use";
    let setup = Setup::new("first-secret\n");
    let server = setup.https().await;
    server.set_token("first-secret");
    let syncer = setup.syncer(&[server.target("a", "https://localhost")], &[]).await;
    reads(&syncer, &["a"]).await;

    server.set_token("second-secret");
    logs_failure(&syncer, "a", "status", "status 401 Unauthorized\"").await;
    syncer.shows(&[], &[&crate::is_read("a")]).await.unwrap();
    setup.rotate("2", Some("  second-secret"));
    logs(&syncer, "reloaded the bearer token for scrapes", 1).await;
    reads(&syncer, &["a"]).await;

    // Empty, no file, two words: each is logged once, and scrapes go on.
    for (version, broken) in [("3", Some("")), ("4", None), ("5", Some("not one"))] {
        setup.rotate(version, broken);
        logs(&syncer, KEPT, version.parse::<usize>().unwrap() - 2).await;
        let before = server.requests().len();
        let more = infertally_harness::eventually(async || match server.requests().len() {
            requests if requests >= before + 5 => Ok(()),
            requests => Err(format!("{requests} requests").into()),
        });
        more.await.unwrap();
        reads(&syncer, &["a"]).await;
    }
    assert_eq!(lines(&syncer, KEPT), 3, "{}", syncer.log());
    let log = syncer.log();
    assert!(
        log.contains(&format!("token file {}: not one token", setup.path("token"))),
        "{log}"
    );
    assert!(
        log.contains(&format!("token file {} cannot be read", setup.path("token"))),
        "{log}"
    );
    setup.rotate("6", Some("third-secret"));
    server.set_token("third-secret");
    logs(&syncer, "reloaded the bearer token for scrapes", 2).await;
    reads(&syncer, &["a"]).await;
    assert!(!syncer.log().contains("secret"), "the token must not be logged");
}

#[tokio::test]
async fn the_token_is_sent_over_http_only_on_request() {
    let setup = Setup::new("secret");
    let (https, http, open) = (setup.https().await, Server::http().await, Server::http().await);
    https.set_token("secret");
    http.set_token("secret");
    let targets = [
        https.target("https", "https://localhost"),
        http.target("http", "http://localhost"),
        open.target("open", "http://localhost"),
    ];
    let syncer = setup.syncer(&targets, &[]).await;
    reads(&syncer, &["https", "open"]).await;
    let text = "the bearer token is not sent over http without --target-token-over-http";
    logs_failure(&syncer, "http", "status", text).await;
    for server in [&http, &open] {
        assert!(
            server
                .requests()
                .iter()
                .all(|request| request.header("authorization").is_none())
        );
    }
    assert_eq!(lines(&syncer, "sent unencrypted"), 0);
    drop(syncer);
    let syncer = setup.syncer(&targets, &["--target-token-over-http"]).await;
    reads(&syncer, &["https", "http", "open"]).await;
    logs(&syncer, "the bearer token is sent unencrypted to http targets", 1).await;
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_its_host_receives_no_request() {
    let setup = Setup::new("secret");
    let (server, elsewhere) = (setup.https().await, setup.https().await);
    server.redirect(&format!("https://localhost:{}/metrics", elsewhere.port()));
    let syncer = setup.syncer(&[server.target("a", "https://localhost")], &[]).await;
    logs_failure(&syncer, "a", "status", "status 302 Found").await;
    let page = syncer.metrics().await.unwrap();
    assert!(page.contains(&failed("a", "status")), "{page}");
    assert!(elsewhere.requests().is_empty());
}
