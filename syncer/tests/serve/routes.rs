//! Paths, methods, formats and content codings.

use std::io::Read;

use flate2::read::GzDecoder;
use infertally_syncer::exposition::Format;
use infertally_syncer::serve::{Limits, Pages, ServeError, Server};

use crate::harness::{Fixed, TestServer, without_auth};

#[tokio::test]
async fn each_path_responds() {
    let server = TestServer::plain().await;
    for (path, status, expected) in [
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
        let response = server.get(path, &[]).await;
        assert_eq!(response.status, status, "{path}");
        assert!(response.text().contains(expected), "{path}: {}", response.text());
        assert!(response.header("content-type").unwrap().starts_with("text/plain"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn readyz_reports_why_the_role_is_not_ready() {
    let pages = Fixed::small();
    let server = TestServer::start(pages.clone(), without_auth(Limits::default())).await;
    *pages.ready.lock().unwrap() = Err("no scrape round is done".to_owned());
    let response = server.get("/readyz", &[]).await;
    assert_eq!((response.status, response.text()), (503, "no scrape round is done\n"));
    assert_eq!(server.get("/healthz", &[]).await.status, 200);
    *pages.ready.lock().unwrap() = Ok(());
    assert_eq!(server.get("/readyz", &[]).await.status, 200);
}

#[tokio::test]
async fn other_methods_get_405_with_allow() {
    let server = TestServer::plain().await;
    let mut client = server.connect().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PURGE"] {
        for path in ["/", "/metrics", "/healthz", "/readyz"] {
            let response = client.request(method, path, &[]).await;
            assert_eq!(
                (response.status, response.header("allow")),
                (405, Some("GET, HEAD")),
                "{method} {path}"
            );
        }
        assert_eq!(client.request(method, "/nowhere", &[]).await.status, 404);
    }
    let response = client.request("CONNECT", "elsewhere:443", &[]).await;
    assert_eq!(response.status, 404);
}

#[tokio::test]
async fn head_has_the_headers_of_get() {
    let server = TestServer::plain().await;
    let mut client = server.connect().await;
    for path in ["/", "/metrics", "/healthz", "/readyz", "/nowhere"] {
        for headers in [
            &[] as &[&str],
            &["accept-encoding: gzip", "accept: application/openmetrics-text"],
        ] {
            let got = client.request("GET", path, headers).await;
            let head = client.request("HEAD", path, headers).await;
            assert_eq!(head.status, got.status, "{path}");
            for name in ["content-length", "content-type", "content-encoding", "vary"] {
                assert_eq!(head.header(name), got.header(name), "{path} {name}");
            }
        }
    }
}

#[tokio::test]
async fn the_page_has_the_format_that_the_client_prefers() {
    let pages = Fixed::small();
    let server = TestServer::start(pages.clone(), without_auth(Limits::default())).await;
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
        let response = client.request("GET", "/metrics", &[accept]).await;
        assert_eq!(response.status, 200, "{accept}");
        assert_eq!(response.header("content-type"), Some(format.content_type()), "{accept}");
        assert_eq!(response.header("vary"), Some("accept, accept-encoding"));
        assert_eq!(response.header("content-encoding"), None);
        assert_eq!(response.text(), pages.page(format), "{accept}");
    }
}

#[tokio::test]
async fn the_gzip_page_decodes_to_the_same_page() {
    let pages = Fixed::large();
    let server = TestServer::start(pages.clone(), without_auth(Limits::default())).await;
    let response = server.get("/metrics", &["accept-encoding: deflate, gzip;q=0.9"]).await;
    assert_eq!(response.header("content-encoding"), Some("gzip"));
    let mut page = String::new();
    GzDecoder::new(response.body.as_slice())
        .read_to_string(&mut page)
        .unwrap();
    assert!(response.body.len() < page.len() / 10);
    assert!(page == pages.page(Format::Text));
}

#[tokio::test]
async fn a_page_that_panics_is_500_and_frees_its_permit() {
    struct Failing;
    impl Pages for Failing {
        fn families(&self) -> Vec<infertally_syncer::exposition::Family> {
            panic!("a test's")
        }
        fn ready(&self) -> Result<(), String> {
            Ok(())
        }
    }
    let server = TestServer::start(
        std::sync::Arc::new(Failing),
        without_auth(Limits {
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
async fn an_address_in_use_is_named_in_the_error() {
    let server = TestServer::plain().await;
    let mut settings = without_auth(Limits::default());
    settings.listen = server.address;
    let Err(error) = Server::bind(settings).await else {
        panic!("the address was bound twice");
    };
    let ServeError::Bind { address, .. } = &error;
    assert_eq!(*address, server.address);
    assert_eq!(error.to_string(), format!("listen on {address}"));
}
