//! A token from a file.

use std::fs;

use infertally_syncer::error_chain;
use infertally_syncer::serve::Limits;
use infertally_syncer::serve::auth::{Auth, TokenFile};

use crate::stage::{Fixed, Running, closed};
use infertally_harness::Mount;

async fn start(dir: &Mount) -> Running {
    let auth = Auth::Token(TokenFile::open(dir.path("token")).await.unwrap());
    Running::start(Fixed::small(), closed(auth, Limits::default())).await
}

async fn status(server: &Running, token: &str) -> u16 {
    server
        .get("/metrics", &[&format!("authorization: Bearer {token}")])
        .await
        .status
}

#[tokio::test]
async fn only_the_token_opens() {
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
        let answer = server.get("/metrics", headers).await;
        assert_eq!(
            (answer.status, answer.header("www-authenticate")),
            (401, Some("Bearer")),
            "{headers:?}"
        );
        assert!(!answer.text().contains("inference_pool"));
    }
}

#[tokio::test]
async fn the_probes_need_no_token() {
    let dir = Mount::new().unwrap();
    fs::write(dir.path("token"), "s3cret").unwrap();
    let server = start(&dir).await;
    for path in ["/healthz", "/readyz", "/"] {
        assert_eq!(server.get(path, &[]).await.status, 200, "{path}");
    }
    assert_eq!(server.connect().await.ask("HEAD", "/metrics", &[]).await.status, 401);
}

#[tokio::test]
async fn a_new_token_counts_at_once() {
    let dir = Mount::new().unwrap();
    dir.mount("1", &[("token", "first\n")]).unwrap();
    let server = start(&dir).await;
    assert_eq!(status(&server, "first").await, 200);
    dir.mount("2", &[("token", "other\n")]).unwrap();
    assert_eq!(
        (status(&server, "first").await, status(&server, "other").await),
        (401, 200)
    );
    // In place, of the same size, in the same tick of the clock.
    fs::write(dir.path("token"), "third\n").unwrap();
    assert_eq!(
        (status(&server, "other").await, status(&server, "third").await),
        (401, 200)
    );
}

#[tokio::test]
async fn without_a_token_in_the_file_nobody_gets_in() {
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
async fn nothing_begins_without_a_token() {
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
