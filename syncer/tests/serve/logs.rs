//! The log: why scrapes are refused, and no part of a token.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use infertally_syncer::serve::Limits;
use infertally_syncer::serve::auth::{Auth, Times, TokenFile};
use serde_json::json;
use tracing::level_filters::LevelFilter;

use crate::api_server::{ApiServer, Reply, allowed, not_allowed, prometheus, unknown};
use crate::harness::{Fixed, SOON, TestServer, with_auth};
use crate::kubernetes_auth::{LONG, start};
use infertally_harness::Mount;

const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.c2VjcmV0.c2lnbmF0dXJl";

thread_local! {
    /// The log of this thread, which runs the test and the server's tasks.
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Log;

// === impl Log ===

impl Log {
    /// Logs at level debug. One subscriber for all threads: tracing caches for each callsite, not for each thread,
    /// whether it is enabled.
    fn start() {
        static STARTED: Once = Once::new();
        STARTED.call_once(|| {
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(LevelFilter::DEBUG)
                .with_ansi(false);
            tracing::subscriber::set_global_default(subscriber.with_writer(|| Log).finish()).unwrap();
        });
    }

    /// The log since the last call.
    fn take() -> String {
        String::from_utf8(LOG.take()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn outcomes_of_reviews_are_logged_without_the_token() {
    Log::start();
    let repeats = || Reply::Status(json!({"authenticated": false, "error": format!("token {TOKEN} has expired")}));
    let garbage = || Reply::Bytes(json!({"kind": "TokenReview", "spec": TOKEN, "status": TOKEN}).to_string());
    let cases = [
        (prometheus(), allowed(), "serving"),
        (unknown(), allowed(), "token lookup failed"),
        (repeats(), allowed(), "token … has expired"),
        (
            garbage(),
            allowed(),
            "TokenReview: response truncated, over 1048576 bytes, or without a valid status",
        ),
        (Reply::Code(500), allowed(), "TokenReview: status 500"),
        (Reply::Code(403), allowed(), "system:auth-delegator"),
        (Reply::Never, allowed(), "the API server did not respond in time"),
        (
            prometheus(),
            not_allowed(),
            "system:serviceaccount:monitoring:prometheus",
        ),
        (
            prometheus(),
            garbage(),
            "SubjectAccessReview: response truncated, over 1048576 bytes, or without a valid status",
        ),
    ];
    for (token, access, expected) in cases {
        let patience = if matches!(token, Reply::Never) {
            SOON
        } else {
            LONG.patience
        };
        let api = ApiServer::start(token, access).await;
        let server = start(&api, Times { patience, ..LONG }).await;
        server
            .get("/metrics", &[&format!("authorization: Bearer {TOKEN}")])
            .await;
        let log = Log::take();
        assert!(log.contains(expected), "{expected:?} is not in {log}");
        assert!(!log.contains("c2VjcmV0"), "{log}");
    }
}

#[tokio::test]
async fn an_unusable_token_file_is_logged_once_and_without_the_token() {
    Log::start();
    let dir = Mount::new().unwrap();
    let path = dir.path("token");
    std::fs::write(&path, TOKEN).unwrap();
    let auth = Auth::Token(TokenFile::open(path.clone()).await.unwrap());
    let server = TestServer::start(Fixed::small(), with_auth(auth, Limits::default())).await;
    let header = format!("authorization: Bearer {TOKEN}");
    for (content, status) in [(TOKEN, 200), ("other", 401), ("two tokens", 503), (TOKEN, 200)] {
        std::fs::write(&path, content).unwrap();
        for _ in 0..3 {
            assert_eq!(server.get("/metrics", &[&header]).await.status, status);
        }
    }
    let text = Log::take();
    assert_eq!(text.matches("replying to every scrape with 503").count(), 1, "{text}");
    assert_eq!(text.matches("token file can be read again").count(), 1, "{text}");
    assert!(!text.contains("c2VjcmV0") && !text.contains("two tokens"), "{text}");
}
