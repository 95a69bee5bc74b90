//! What is logged: enough to know why nobody gets in, and nothing of tokens.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use infertally_syncer::serve::Limits;
use infertally_syncer::serve::auth::{Auth, Times, TokenFile};
use serde_json::json;
use tracing::level_filters::LevelFilter;

use crate::api_server::{ApiServer, Say, allowed, not_allowed, prometheus, unknown};
use crate::kubernetes::{LONG, start};
use crate::stage::{Fixed, Running, SOON, closed};
use infertally_harness::Mount;

const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.c2VjcmV0.c2lnbmF0dXJl";

thread_local! {
    /// What was logged on this thread. A test of tokio's has one, with the server's tasks.
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Log;

// === impl Log ===

impl Log {
    /// Logs all that a user could turn on in a hurry. One subscriber for all threads: tracing keeps for each line of
    /// code, not for each thread, whether anybody wants it.
    fn start() {
        static STARTED: Once = Once::new();
        STARTED.call_once(|| {
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(LevelFilter::DEBUG)
                .with_ansi(false);
            tracing::subscriber::set_global_default(subscriber.with_writer(|| Log).finish()).unwrap();
        });
    }

    /// What was logged since the last time.
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
async fn kubernetes_answers_are_logged_without_the_token() {
    Log::start();
    let repeats = || Say::Status(json!({"authenticated": false, "error": format!("token {TOKEN} has expired")}));
    let garbage = || Say::Bytes(json!({"kind": "TokenReview", "spec": TOKEN, "status": TOKEN}).to_string());
    let cases = [
        (prometheus(), allowed(), "serving"),
        (unknown(), allowed(), "token lookup failed"),
        (repeats(), allowed(), "token … has expired"),
        (
            garbage(),
            allowed(),
            "TokenReview: the answer has no status that can be read",
        ),
        (Say::Code(500), allowed(), "TokenReview: status 500"),
        (Say::Code(403), allowed(), "system:auth-delegator"),
        (Say::Nothing, allowed(), "the API server did not answer in time"),
        (
            prometheus(),
            not_allowed(),
            "system:serviceaccount:monitoring:prometheus",
        ),
        (
            prometheus(),
            garbage(),
            "SubjectAccessReview: the answer has no status that can be read",
        ),
    ];
    for (token, access, says) in cases {
        let patience = if matches!(token, Say::Nothing) {
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
        assert!(log.contains(says), "{says:?} is not in {log}");
        assert!(!log.contains("c2VjcmV0"), "{log}");
    }
}

#[tokio::test]
async fn a_token_file_that_breaks_is_logged_once_and_without_the_token() {
    Log::start();
    let dir = Mount::new().unwrap();
    let path = dir.path("token");
    std::fs::write(&path, TOKEN).unwrap();
    let auth = Auth::Token(TokenFile::open(path.clone()).await.unwrap());
    let server = Running::start(Fixed::small(), closed(auth, Limits::default())).await;
    let header = format!("authorization: Bearer {TOKEN}");
    for (content, status) in [(TOKEN, 200), ("other", 401), ("two tokens", 503), (TOKEN, 200)] {
        std::fs::write(&path, content).unwrap();
        for _ in 0..3 {
            assert_eq!(server.get("/metrics", &[&header]).await.status, status);
        }
    }
    let text = Log::take();
    assert_eq!(text.matches("nobody can read /metrics").count(), 1, "{text}");
    assert_eq!(text.matches("the token can be read again").count(), 1, "{text}");
    assert!(!text.contains("c2VjcmV0") && !text.contains("two tokens"), "{text}");
}
