//! Certificates that rotate while the syncer runs.

use infertally_harness::{Mount, Syncer};

use crate::pki::{Ca, Clients, Pair};
use crate::server::Server;
use crate::{logs, logs_failure, reads, syncer};

const RELOADED: &str = "reloaded the TLS files for scrapes";
const KEPT: &str = "cannot reload the TLS files for scrapes; keeping those in use";

fn mount(files: &Mount, version: &str, ca: &str, Pair { certificate, key, .. }: &Pair) {
    let content = [("ca.crt", ca), ("tls.crt", certificate), ("tls.key", key)];
    files.mount(version, &content).unwrap();
}

async fn start(server: &Server, files: &Mount) -> Syncer {
    let path = |name| files.path(name).to_str().unwrap().to_owned();
    syncer(&[
        "--target",
        &server.target("a", "https://localhost"),
        "--target-ca-file",
        &path("ca.crt"),
        "--target-cert-file",
        &path("tls.crt"),
        "--target-key-file",
        &path("tls.key"),
    ])
    .await
}

/// Waits until the pod has been scraped successfully after this moment.
async fn still_reads(syncer: &Syncer, server: &Server) {
    let before = server.requests().len();
    let more = infertally_harness::eventually(async || match server.requests().len() {
        requests if requests >= before + 3 => Ok(()),
        requests => Err(format!("{requests} requests\n{}", syncer.log()).into()),
    });
    more.await.unwrap();
    reads(syncer, &["a"]).await;
}

#[tokio::test]
async fn rotated_certificates_are_used_and_broken_ones_leave_the_last_in_effect() {
    let (ca, clients) = (Ca::new("first"), Ca::new("first clients"));
    let of = |ca: &Ca, clients: &Ca| ca.sign(&["localhost"]).server_of(&Clients::Required(clients), false);
    let files = Mount::new().unwrap();
    let client = clients.sign(&["syncer"]);
    mount(&files, "1", &ca.pem, &client);
    let server = Server::https(of(&ca, &clients)).await;
    let syncer = start(&server, &files).await;
    reads(&syncer, &["a"]).await;

    // Each of these is logged once with its file, and scrapes go on, on new connections, too.
    let other = clients.sign(&["syncer"]);
    let mixed = Pair::mixed(&client, &other);
    let broken: [(&str, &str, &Pair, &str); 3] = [
        (
            "2",
            "no certificate\n",
            &client,
            "ca.crt cannot be used: it holds no certificate",
        ),
        (
            "3",
            &ca.pem,
            &mixed,
            "tls.key cannot be used: keys may not be consistent",
        ),
        ("4", "", &client, "ca.crt cannot be used: it holds no certificate"),
    ];
    for (count, (version, ca_pem, pair, why)) in (1..).zip(broken) {
        mount(&files, version, ca_pem, pair);
        logs(&syncer, KEPT, count).await;
        let log = syncer.log();
        let last = log.lines().rfind(|line| line.contains(KEPT)).unwrap();
        assert!(last.contains(why), "{last}");
        server.restart_with(of(&ca, &clients));
        still_reads(&syncer, &server).await;
    }

    // Servers rotate first: what they have now is unknown until the files follow.
    let (new_ca, new_clients) = (Ca::new("second"), Ca::new("second clients"));
    server.restart_with(of(&new_ca, &new_clients));
    logs_failure(&syncer, "a", "tls", "signed by an unknown authority").await;
    mount(&files, "5", &[&*ca.pem, &new_ca.pem].concat(), &client);
    logs(&syncer, RELOADED, 1).await;
    logs_failure(&syncer, "a", "tls", "the server rejected the client certificate").await;
    mount(&files, "6", &new_ca.pem, &new_clients.sign(&["syncer"]));
    logs(&syncer, RELOADED, 2).await;
    still_reads(&syncer, &server).await;
}

#[tokio::test]
async fn an_authority_that_is_removed_is_no_longer_trusted_on_open_connections() {
    let (ca, other) = (Ca::new("ours"), Ca::new("other"));
    let files = Mount::new().unwrap();
    let client = ca.sign(&["syncer"]);
    mount(&files, "1", &ca.pem, &client);
    let server = Server::https(ca.sign(&["localhost"]).server()).await;
    let syncer = start(&server, &files).await;
    reads(&syncer, &["a"]).await;
    mount(&files, "2", &other.pem, &client);
    logs_failure(&syncer, "a", "tls", "signed by an unknown authority").await;
    // It is the server of before, and its connection was never closed.
    mount(&files, "3", &ca.pem, &client);
    still_reads(&syncer, &server).await;
}

#[tokio::test]
async fn files_that_are_written_in_place_one_after_the_other_are_reloaded() {
    let (ca, clients) = (Ca::new("ours"), Ca::new("clients"));
    let folder = Mount::new().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path(name), text).unwrap();
    let (old, new) = (ca.sign(&["syncer"]), clients.sign(&["syncer"]));
    write("ca.crt", &ca.pem);
    write("tls.crt", &old.certificate);
    write("tls.key", &old.key);
    let server = Server::https(ca.sign(&["localhost"]).server_of(&Clients::Required(&clients), false)).await;
    let syncer = start(&server, &folder).await;
    logs_failure(&syncer, "a", "tls", "the server rejected the client certificate").await;
    write("tls.crt", &new.certificate);
    write("tls.key", &new.key);
    still_reads(&syncer, &server).await;
}
