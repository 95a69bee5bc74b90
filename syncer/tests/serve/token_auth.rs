//! Authentication by a token in a file.

use std::fs;

use infertally_syncer::error_chain;
use infertally_syncer::serve::Limits;
use infertally_syncer::serve::auth::{Auth, TokenFile};

use crate::harness::{Fixed, TestServer, with_auth};
use infertally_harness::Mount;

async fn start(dir: &Mount) -> TestServer {
    let auth = Auth::Token(TokenFile::open(dir.path("token")).await.unwrap());
    TestServer::start(Fixed::small(), with_auth(auth, Limits::default())).await
}

async fn status(server: &TestServer, token: &str) -> u16 {
    server
        .get("/metrics", &[&format!("authorization: Bearer {token}")])
        .await
        .status
}

#[tokio::test]
async fn only_the_token_is_accepted() {
    let dir = Mount::new().unwrap();
    fs::write(dir.path("token"), "s3cret\r\n").unwrap();
    let server = start(&dir).await;
    assert_eq!(status(&server, "s3cret").await, 200);
    for wrong in ["", "s3cre", "s3crets", "S3cret", "s3cret s3cret", "\"s3cret\""] {
        assert_eq!(status(&server, wrong).await, 401, "{wrong}");
    }
    for headers in [
        &[] as &[&str],
        &["authorization: Basic s3cret"],
        &["authorization: s3cret"],
        &["authorization: Bearer s3cret", "authorization: Bearer s3cret"],
        &["x-authorization: Bearer s3cret"],
    ] {
        let response = server.get("/metrics", headers).await;
        assert_eq!(
            (response.status, response.header("www-authenticate")),
            (401, Some("Bearer")),
            "{headers:?}"
        );
        assert!(!response.text().contains("inference_pool"));
    }
}

#[tokio::test]
async fn probes_need_no_token() {
    let dir = Mount::new().unwrap();
    fs::write(dir.path("token"), "s3cret").unwrap();
    let server = start(&dir).await;
    for path in ["/healthz", "/readyz", "/"] {
        assert_eq!(server.get(path, &[]).await.status, 200, "{path}");
    }
    assert_eq!(
        server.connect().await.request("HEAD", "/metrics", &[]).await.status,
        401
    );
}

#[tokio::test]
async fn a_rotated_token_counts_at_once() {
    let dir = Mount::new().unwrap();
    dir.mount("1", &[("token", "first\n")]).unwrap();
    let server = start(&dir).await;
    assert_eq!(status(&server, "first").await, 200);
    dir.mount("2", &[("token", "other\n")]).unwrap();
    assert_eq!(
        (status(&server, "first").await, status(&server, "other").await),
        (401, 200)
    );
    // Rewritten in place, with the same size and modification time.
    fs::write(dir.path("token"), "third\n").unwrap();
    assert_eq!(
        (status(&server, "other").await, status(&server, "third").await),
        (401, 200)
    );
}

#[tokio::test]
async fn scrapes_get_503_while_the_file_has_no_token() {
    let dir = Mount::new().unwrap();
    let path = dir.path("token");
    fs::write(&path, "s3cret").unwrap();
    let server = start(&dir).await;
    for bad in ["", "\n", "  \n", "two tokens", "two\ntokens", "ü", &"a".repeat(20_000)] {
        fs::write(&path, bad).unwrap();
        for token in ["s3cret", bad.trim(), "two", "a"] {
            let got = status(&server, token).await;
            assert!(matches!(got, 400 | 401 | 431 | 503), "{bad:?} {token:?}: {got}");
        }
        assert_eq!(status(&server, "s3cret").await, 503, "{bad:?}");
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(status(&server, "s3cret").await, 503);
    assert_eq!(server.get("/healthz", &[]).await.status, 200);
    fs::write(&path, "s3cret").unwrap();
    assert_eq!(status(&server, "s3cret").await, 200);
}

#[tokio::test]
async fn a_file_without_a_token_is_an_error_at_start() {
    let dir = Mount::new().unwrap();
    let path = dir.path("token");
    let open = async || {
        TokenFile::open(path.clone())
            .await
            .map_err(|error| error_chain(&error))
            .err()
    };
    assert!(open().await.unwrap().contains("token: cannot be read: "));
    for bad in ["", "\n", "two tokens"] {
        fs::write(&path, bad).unwrap();
        let error = open().await.unwrap();
        assert!(error.ends_with("token: not one token of visible ASCII"), "{error}");
    }
    fs::write(&path, "s3cret\n").unwrap();
    assert_eq!(open().await, None);
}
