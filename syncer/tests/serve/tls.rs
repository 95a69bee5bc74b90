//! TLS: which certificate is presented, and clients that fail the handshake.

use http::{Method, StatusCode};
use infertally_syncer::error_chain;
use infertally_syncer::file::Reload;
use infertally_syncer::serve::auth::Auth;
use infertally_syncer::serve::tls::Tls;
use infertally_syncer::serve::{Limits, Settings};

use crate::certificates::Pair;
use crate::harness::{Fixed, NEVER, SOON, TestServer, eventually, request, with_auth, without_auth};
use crate::http2::Http2;
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

async fn start(dir: &Mount, limits: Limits) -> TestServer {
    let settings = Settings {
        tls: Some(load(dir).await.unwrap()),
        ..without_auth(limits)
    };
    TestServer::start(Fixed::small(), settings).await
}

#[tokio::test]
async fn alpn_offers_both_versions_of_http() {
    let (dir, pair) = (Mount::new().unwrap(), Pair::new());
    pair.mount(&dir, "1");
    let server = start(&dir, Limits::default()).await;

    let mut http1 = pair.client(&server).await.unwrap();
    assert_eq!(http1.stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    assert_eq!(http1.request("GET", "/metrics", &[]).await.status, 200);

    let stream = pair.connect(&server, b"h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let http2 = Http2::over(stream).await;
    assert_eq!(
        http2.request(Method::GET, "/metrics").await.unwrap().status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_reload_presents_a_new_certificate_at_once() {
    let (dir, old, new) = (Mount::new().unwrap(), Pair::new(), Pair::new());
    old.mount(&dir, "1");
    let (requests, reload) = Reload::channel();
    let limits = Limits {
        tls_reload: NEVER,
        ..Limits::default()
    };
    let settings = Settings {
        tls: Some(load(&dir).await.unwrap()),
        reload,
        ..without_auth(limits)
    };
    let server = TestServer::start(Fixed::small(), settings).await;
    assert!(old.client(&server).await.is_ok());
    new.mount(&dir, "2");
    requests.send_replace(());
    eventually(async || new.client(&server).await.is_ok()).await;
}

#[tokio::test]
async fn a_new_certificate_is_presented_and_open_connections_stay() {
    let (dir, old, new) = (Mount::new().unwrap(), Pair::new(), Pair::new());
    old.mount(&dir, "1");
    let server = start(&dir, QUICK()).await;
    let mut client = old.client(&server).await.unwrap();
    assert_eq!(client.request("GET", "/healthz", &[]).await.status, 200);
    assert!(new.client(&server).await.is_err());

    new.mount(&dir, "2");
    eventually(async || new.client(&server).await.is_ok()).await;
    assert!(old.client(&server).await.is_err());
    assert_eq!(client.request("GET", "/healthz", &[]).await.status, 200);
}

#[tokio::test]
async fn unusable_files_do_not_replace_a_certificate() {
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
        // Long enough for several reloads; none may make a difference.
        for _ in 0..10 {
            assert!(old.client(&server).await.is_ok(), "{version}");
            tokio::time::sleep(SOON / 10).await;
        }
        assert!(new.client(&server).await.is_err(), "{version}");
    }
    last.mount(&dir, "last");
    eventually(async || last.client(&server).await.is_ok()).await;
}

#[tokio::test]
async fn unusable_files_are_an_error_at_start() {
    let (one, other) = (Pair::new(), Pair::new());
    type Files<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, Files, &str); 5] = [
        ("0", &[], "tls.crt: cannot be read: "),
        ("1", &[("tls.crt", &one.certificate)], "tls.key: cannot be read: "),
        (
            "2",
            &[("tls.crt", "no PEM"), ("tls.key", &one.key)],
            "tls.crt: no certificate in PEM: ",
        ),
        (
            "3",
            &[("tls.crt", &one.certificate), ("tls.key", "no PEM")],
            "tls.key: no private key in PEM: ",
        ),
        (
            "4",
            &[("tls.crt", &one.certificate), ("tls.key", &other.key)],
            "keys may not be consistent: ",
        ),
    ];
    for (version, files, expected) in cases {
        let dir = Mount::new().unwrap();
        dir.mount(version, files).unwrap();
        let Err(error) = load(&dir).await else {
            panic!("{expected}");
        };
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_self_signed_certificate_has_the_names() {
    let tls = Tls::self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let server = TestServer::start(
        Fixed::small(),
        Settings {
            tls: Some(tls),
            ..without_auth(Limits::default())
        },
    )
    .await;
    let error = Pair::new().client(&server).await.err().unwrap();
    assert!(
        error.to_string().contains("UnknownIssuer"),
        "only its issuer is unknown: {error}"
    );
    assert!(Tls::self_signed(vec!["ü".to_owned()]).is_err());
}

#[tokio::test]
async fn plain_http_gets_400_that_names_tls() {
    let (dir, pair) = (Mount::new().unwrap(), Pair::new());
    pair.mount(&dir, "1");
    let limits = Limits {
        connections: 1,
        header_timeout: NEVER,
        ..Limits::default()
    };
    let server = start(&dir, limits).await;
    for _ in 0..3 {
        let response = server.get("/metrics", &[]).await;
        assert_eq!(
            (response.status, response.text()),
            (400, "this port speaks TLS: use https:// for it\n")
        );
    }
    assert_eq!(
        pair.client(&server)
            .await
            .unwrap()
            .request("GET", "/healthz", &[])
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn an_incomplete_handshake_times_out() {
    let (dir, pair) = (Mount::new().unwrap(), Pair::new());
    pair.mount(&dir, "1");
    let server = start(
        &dir,
        Limits {
            header_timeout: 2 * SOON,
            ..Limits::default()
        },
    )
    .await;
    // Nothing, malformed TLS, and an incomplete record.
    for beginning in ["", "\0\0\0\0\0\0", "\u{16}\u{3}\u{1}\u{1}\0"] {
        let mut client = server.connect().await;
        client.send(beginning).await.unwrap();
        client.closed().await;
    }
    assert!(pair.client(&server).await.is_ok());
}

#[tokio::test]
async fn a_client_that_rejects_the_certificate_frees_its_slot() {
    let (dir, pair, other) = (Mount::new().unwrap(), Pair::new(), Pair::new());
    pair.mount(&dir, "1");
    let mut server = start(
        &dir,
        Limits {
            connections: 1,
            header_timeout: NEVER,
            drain_timeout: NEVER,
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
            .request("GET", "/healthz", &[])
            .await
            .status,
        200
    );
    server.shut_down();
    server.stopped().await;
}

#[tokio::test]
async fn tls_and_a_token_combine() {
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
        ..with_auth(auth, Limits::default())
    };
    let server = TestServer::start(Fixed::small(), settings).await;
    let mut client = pair.client(&server).await.unwrap();
    client.send(&request("GET", "/metrics", &[])).await.unwrap();
    assert_eq!(client.response("GET").await.unwrap().status, 401);
    assert_eq!(
        client
            .request("GET", "/metrics", &["authorization: Bearer s3cret"])
            .await
            .status,
        200
    );
}
