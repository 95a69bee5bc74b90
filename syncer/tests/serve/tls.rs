//! TLS: which certificate is shown, and who does not speak it.

use http::{Method, StatusCode};
use infertally_syncer::error_chain;
use infertally_syncer::serve::auth::Auth;
use infertally_syncer::serve::tls::Tls;
use infertally_syncer::serve::{Limits, Settings};

use crate::certificates::Pair;
use crate::http2::Http2;
use crate::stage::{Fixed, NEVER, Running, SOON, closed, open, request, until};
use infertally_harness::Mount;

const QUICK: fn() -> Limits = || Limits {
    tls_reload: SOON / 10,
    ..Limits::default()
};

async fn load(dir: &Mount) -> Result<Tls, String> {
    Tls::from_files(dir.path("tls.crt"), dir.path("tls.key"))
        .await
        .map_err(|error| error_chain(&error))
}

async fn start(dir: &Mount, limits: Limits) -> Running {
    let settings = Settings {
        tls: Some(load(dir).await.unwrap()),
        ..open(limits)
    };
    Running::start(Fixed::small(), settings).await
}

#[tokio::test]
async fn both_versions_of_http_are_offered() {
    let (dir, pair) = (Mount::new().unwrap(), Pair::new());
    pair.mount(&dir, "1");
    let server = start(&dir, Limits::default()).await;

    let mut http1 = pair.client(&server).await.unwrap();
    assert_eq!(http1.stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    assert_eq!(http1.ask("GET", "/metrics", &[]).await.status, 200);

    let stream = pair.connect(&server, b"h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let http2 = Http2::over(stream).await;
    assert_eq!(
        http2.ask(Method::GET, "/metrics").await.unwrap().status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_new_certificate_is_shown_and_old_connections_stay() {
    let (dir, old, new) = (Mount::new().unwrap(), Pair::new(), Pair::new());
    old.mount(&dir, "1");
    let server = start(&dir, QUICK()).await;
    let mut client = old.client(&server).await.unwrap();
    assert_eq!(client.ask("GET", "/healthz", &[]).await.status, 200);
    assert!(new.client(&server).await.is_err());

    new.mount(&dir, "2");
    until(async || new.client(&server).await.is_ok()).await;
    assert!(old.client(&server).await.is_err());
    assert_eq!(client.ask("GET", "/healthz", &[]).await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_used_does_not_replace_what_can() {
    let (dir, old, new, last) = (Mount::new().unwrap(), Pair::new(), Pair::new(), Pair::new());
    old.mount(&dir, "1");
    let server = start(&dir, QUICK()).await;
    let bad: [(&str, &[(&str, &str)]); 4] = [
        ("mismatch", &[("tls.crt", &new.certificate), ("tls.key", &old.key)]),
        ("empty", &[("tls.crt", ""), ("tls.key", "")]),
        ("swapped", &[("tls.crt", &new.key), ("tls.key", &new.certificate)]),
        ("one", &[("tls.crt", &new.certificate)]),
    ];
    for (version, files) in bad {
        dir.mount(version, files).unwrap();
        // Long enough for some looks at the files; none may make a difference.
        for _ in 0..10 {
            assert!(old.client(&server).await.is_ok(), "{version}");
            tokio::time::sleep(SOON / 10).await;
        }
        assert!(new.client(&server).await.is_err(), "{version}");
    }
    last.mount(&dir, "last");
    until(async || last.client(&server).await.is_ok()).await;
}

#[tokio::test]
async fn nothing_begins_with_a_pair_that_cannot_be_used() {
    let (one, other) = (Pair::new(), Pair::new());
    type Files<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, Files, &str); 5] = [
        ("0", &[], "tls.crt: cannot be read: "),
        ("1", &[("tls.crt", &one.certificate)], "tls.key: cannot be read: "),
        (
            "2",
            &[("tls.crt", "no PEM"), ("tls.key", &one.key)],
            "tls.crt: no PEM of a certificate: ",
        ),
        (
            "3",
            &[("tls.crt", &one.certificate), ("tls.key", "no PEM")],
            "tls.key: no PEM of a private key: ",
        ),
        (
            "4",
            &[("tls.crt", &one.certificate), ("tls.key", &other.key)],
            "keys may not be consistent: ",
        ),
    ];
    for (version, files, says) in cases {
        let dir = Mount::new().unwrap();
        dir.mount(version, files).unwrap();
        let Err(error) = load(&dir).await else {
            panic!("{says}");
        };
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_self_signed_certificate_holds_the_names() {
    let tls = Tls::self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let server = Running::start(
        Fixed::small(),
        Settings {
            tls: Some(tls),
            ..open(Limits::default())
        },
    )
    .await;
    let error = Pair::new().client(&server).await.err().unwrap();
    assert!(
        error.to_string().contains("UnknownIssuer"),
        "it is right but for its issuer: {error}"
    );
    assert!(Tls::self_signed(vec!["ü".to_owned()]).is_err());
}

#[tokio::test]
async fn plain_http_is_told_that_this_is_tls() {
    let (dir, pair) = (Mount::new().unwrap(), Pair::new());
    pair.mount(&dir, "1");
    let limits = Limits {
        connections: 1,
        head: NEVER,
        ..Limits::default()
    };
    let server = start(&dir, limits).await;
    for _ in 0..3 {
        let answer = server.get("/metrics", &[]).await;
        assert_eq!(
            (answer.status, answer.text()),
            (400, "this port speaks TLS: use https:// for it\n")
        );
    }
    assert_eq!(
        pair.client(&server)
            .await
            .unwrap()
            .ask("GET", "/healthz", &[])
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_handshake_that_does_not_come_to_its_end_is_cut_off() {
    let (dir, pair) = (Mount::new().unwrap(), Pair::new());
    pair.mount(&dir, "1");
    let server = start(
        &dir,
        Limits {
            head: 2 * SOON,
            ..Limits::default()
        },
    )
    .await;
    // Nothing, no TLS, and the beginning of a record that never ends.
    for beginning in ["", "\0\0\0\0\0\0", "\u{16}\u{3}\u{1}\u{1}\0"] {
        let mut client = server.connect().await;
        client.send(beginning).await.unwrap();
        client.closed().await;
    }
    assert!(pair.client(&server).await.is_ok());
}

#[tokio::test]
async fn a_client_that_does_not_trust_us_leaves_no_trace() {
    let (dir, pair, other) = (Mount::new().unwrap(), Pair::new(), Pair::new());
    pair.mount(&dir, "1");
    let mut server = start(
        &dir,
        Limits {
            connections: 1,
            head: NEVER,
            drain: NEVER,
            ..Limits::default()
        },
    )
    .await;
    for _ in 0..5 {
        assert!(other.client(&server).await.is_err());
    }
    assert_eq!(
        pair.client(&server)
            .await
            .unwrap()
            .ask("GET", "/healthz", &[])
            .await
            .status,
        200
    );
    server.tell();
    server.ended().await;
}

#[tokio::test]
async fn tls_and_a_token_go_together() {
    let (dir, pair) = (Mount::new().unwrap(), Pair::new());
    pair.mount(&dir, "1");
    std::fs::write(dir.path("token"), "s3cret\n").unwrap();
    let auth = Auth::Token(
        infertally_syncer::serve::auth::TokenFile::open(dir.path("token"))
            .await
            .unwrap(),
    );
    let settings = Settings {
        tls: Some(load(&dir).await.unwrap()),
        ..closed(auth, Limits::default())
    };
    let server = Running::start(Fixed::small(), settings).await;
    let mut client = pair.client(&server).await.unwrap();
    client.send(&request("GET", "/metrics", &[])).await.unwrap();
    assert_eq!(client.answer("GET").await.unwrap().status, 401);
    assert_eq!(
        client
            .ask("GET", "/metrics", &["authorization: Bearer s3cret"])
            .await
            .status,
        200
    );
}
