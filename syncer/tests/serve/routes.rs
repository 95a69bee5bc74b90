//! Paths, methods, formats and codings.

use std::io::Read;

use flate2::read::GzDecoder;
use infertally_syncer::exposition::Format;
use infertally_syncer::serve::{Limits, Pages, ServeError, Server};

use crate::stage::{Fixed, Running, open};

#[tokio::test]
async fn each_path_answers() {
    let server = Running::plain().await;
    for (path, status, says) in [
        ("/", 200, "/metrics"),
        ("/healthz", 200, "ok\n"),
        ("/readyz", 200, "ok\n"),
        ("/metrics", 200, "inference_pool_ready_pods 3\n"),
        ("/metrics?debug=1", 200, "inference_pool_ready_pods 3\n"),
        ("http://elsewhere/metrics", 200, "inference_pool_ready_pods 3\n"),
        ("/metrics/", 404, "not found"),
        ("/metrics/..", 404, "not found"),
        ("/favicon.ico", 404, "not found"),
        ("//healthz", 404, "not found"),
    ] {
        let answer = server.get(path, &[]).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.text().contains(says), "{path}: {}", answer.text());
        assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn readyz_says_why_not() {
    let pages = Fixed::small();
    let server = Running::start(pages.clone(), open(Limits::default())).await;
    *pages.ready.lock().unwrap() = Err("no scrape round is done".to_owned());
    let answer = server.get("/readyz", &[]).await;
    assert_eq!((answer.status, answer.text()), (503, "no scrape round is done\n"));
    assert_eq!(server.get("/healthz", &[]).await.status, 200);
    *pages.ready.lock().unwrap() = Ok(());
    assert_eq!(server.get("/readyz", &[]).await.status, 200);
}

#[tokio::test]
async fn other_methods_are_told_which_there_are() {
    let server = Running::plain().await;
    let mut client = server.connect().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PURGE"] {
        for path in ["/", "/metrics", "/healthz", "/readyz"] {
            let answer = client.ask(method, path, &[]).await;
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, Some("GET, HEAD")),
                "{method} {path}"
            );
        }
        assert_eq!(client.ask(method, "/nowhere", &[]).await.status, 404);
    }
    let answer = client.ask("CONNECT", "elsewhere:443", &[]).await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn head_says_what_get_would_say() {
    let server = Running::plain().await;
    let mut client = server.connect().await;
    for path in ["/", "/metrics", "/healthz", "/readyz", "/nowhere"] {
        for headers in [
            &[] as &[&str],
            &["accept-encoding: gzip", "accept: application/openmetrics-text"],
        ] {
            let got = client.ask("GET", path, headers).await;
            let head = client.ask("HEAD", path, headers).await;
            assert_eq!(head.status, got.status, "{path}");
            for name in ["content-length", "content-type", "content-encoding", "vary"] {
                assert_eq!(head.header(name), got.header(name), "{path} {name}");
            }
        }
    }
}

#[tokio::test]
async fn the_page_comes_in_the_format_that_is_preferred() {
    let pages = Fixed::small();
    let server = Running::start(pages.clone(), open(Limits::default())).await;
    let mut client = server.connect().await;
    for (accept, format) in [
        ("accept: */*", Format::Text),
        (
            "accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2",
            Format::OpenMetrics,
        ),
        ("accept: ;;;q=,\"", Format::Text),
        ("accept: application/json", Format::Text),
    ] {
        let answer = client.ask("GET", "/metrics", &[accept]).await;
        assert_eq!(answer.status, 200, "{accept}");
        assert_eq!(answer.header("content-type"), Some(format.content_type()), "{accept}");
        assert_eq!(answer.header("vary"), Some("accept, accept-encoding"));
        assert_eq!(answer.header("content-encoding"), None);
        assert_eq!(answer.text(), pages.page(format), "{accept}");
    }
}

#[tokio::test]
async fn gzip_inflates_to_the_same_page() {
    let pages = Fixed::large();
    let server = Running::start(pages.clone(), open(Limits::default())).await;
    let answer = server.get("/metrics", &["accept-encoding: deflate, gzip;q=0.9"]).await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let mut page = String::new();
    GzDecoder::new(answer.body.as_slice())
        .read_to_string(&mut page)
        .unwrap();
    assert!(answer.body.len() < page.len() / 10);
    assert!(page == pages.page(Format::Text));
}

#[tokio::test]
async fn a_page_that_fails_is_one_answer_that_fails() {
    struct Failing;
    impl Pages for Failing {
        fn families(&self) -> Vec<infertally_syncer::exposition::Family> {
            panic!("a test's")
        }
        fn ready(&self) -> Result<(), String> {
            Ok(())
        }
    }
    let server = Running::start(
        std::sync::Arc::new(Failing),
        open(Limits {
            pages: 1,
            ..Limits::default()
        }),
    )
    .await;
    for _ in 0..3 {
        assert_eq!(server.get("/metrics", &[]).await.status, 500);
    }
    assert_eq!(server.get("/healthz", &[]).await.status, 200);
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let server = Running::plain().await;
    let mut settings = open(Limits::default());
    settings.listen = server.address;
    let Err(error) = Server::bind(settings).await else {
        panic!("the address is taken twice");
    };
    let ServeError::Bind { address, .. } = &error;
    assert_eq!(*address, server.address);
    assert_eq!(error.to_string(), format!("listen on {address}"));
}
