//! Authentication and authorization by Kubernetes.

use std::sync::Arc;

use futures::future::join_all;
use infertally_syncer::serve::Limits;
use infertally_syncer::serve::auth::{Auth, Kubernetes, Times};
use serde_json::json;

use crate::api_server::{ACCESS_REVIEWS, ApiServer, Reply, TOKEN_REVIEWS, allowed, not_allowed, prometheus, unknown};
use crate::harness::{Fixed, NEVER, Response, SOON, TestServer, eventually, request, with_auth};

/// Outcomes stay cached, and no review times out.
pub const LONG: Times = Times {
    allowed: NEVER,
    refused: NEVER,
    unavailable: NEVER,
    patience: NEVER,
};

pub async fn start(api: &ApiServer, times: Times) -> TestServer {
    let auth = Auth::Kubernetes(Box::new(Kubernetes::new(api.client.clone(), times)));
    TestServer::start(Fixed::small(), with_auth(auth, Limits::default())).await
}

async fn get(server: &TestServer, token: &str) -> Response {
    server
        .get("/metrics", &[&format!("authorization: Bearer {token}")])
        .await
}

#[tokio::test]
async fn the_token_is_reviewed_and_then_the_access_of_its_user() {
    let api = ApiServer::start(prometheus(), allowed()).await;
    let server = start(&api, LONG).await;
    let response = get(&server, "abc.def.ghi").await;
    assert_eq!(response.status, 200);
    assert!(response.text().contains("inference_pool_ready_pods"));
    let received = api.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].0, TOKEN_REVIEWS);
    assert_eq!(received[0].1["kind"], "TokenReview");
    assert_eq!(received[0].1["apiVersion"], "authentication.k8s.io/v1");
    assert_eq!(received[0].1["spec"], json!({"token": "abc.def.ghi"}));
    assert_eq!(received[1].0, ACCESS_REVIEWS);
    assert_eq!(received[1].1["kind"], "SubjectAccessReview");
    assert_eq!(
        received[1].1["spec"],
        json!({
            "user": "system:serviceaccount:monitoring:prometheus",
            "uid": "8d6f7f4c",
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/pod-name": ["prometheus-0"]},
            "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
        })
    );
}

#[tokio::test]
async fn every_outcome_has_its_status() {
    let status = |status| Reply::Status(status);
    let user = json!({"username": "a"});
    let echo = || Reply::Bytes(r#"{"kind": "TokenReview", "spec": {"token": "t"}, "status": "t"}"#.to_owned());
    let cases = [
        (prometheus(), allowed(), 200),
        (status(json!({"authenticated": true, "user": user})), allowed(), 200),
        // Not authenticated.
        (unknown(), allowed(), 401),
        (status(json!({})), allowed(), 401),
        (status(json!({"authenticated": false, "user": user})), allowed(), 401),
        (
            status(json!({"authenticated": true, "user": user, "error": "webhook: timeout"})),
            allowed(),
            401,
        ),
        // Authenticated, and not authorized.
        (prometheus(), not_allowed(), 403),
        (
            prometheus(),
            status(json!({"allowed": false, "denied": true, "reason": "no"})),
            403,
        ),
        (prometheus(), status(json!({"allowed": true, "denied": true})), 403),
        (
            prometheus(),
            status(json!({"allowed": false, "evaluationError": "webhook: timeout"})),
            403,
        ),
        // The review fails.
        (Reply::Code(500), allowed(), 503),
        (Reply::Code(403), allowed(), 503),
        (Reply::Code(401), allowed(), 503),
        (Reply::Code(302), allowed(), 503),
        (prometheus(), Reply::Code(500), 503),
        (prometheus(), Reply::Code(403), 503),
        (status(json!({"authenticated": true})), allowed(), 503),
        (
            status(json!({"authenticated": true, "user": {"username": ""}})),
            allowed(),
            503,
        ),
        (status(json!("yes")), allowed(), 503),
        (status(json!(null)), allowed(), 503),
        (echo(), allowed(), 503),
        (Reply::Bytes(String::new()), allowed(), 503),
        (Reply::Bytes("{\"kind\": \"TokenReview\"".to_owned()), allowed(), 503),
        (Reply::Bytes("a".repeat(2_000_000)), allowed(), 503),
        (prometheus(), status(json!({"allowed": "true"})), 503),
        (prometheus(), Reply::Bytes("true".to_owned()), 503),
    ];
    for (number, (token, access, expected)) in cases.into_iter().enumerate() {
        let case = format!("case {number}: {token:?}, {access:?}")
            .chars()
            .take(300)
            .collect::<String>();
        let api = ApiServer::start(token, access).await;
        let response = get(&start(&api, LONG).await, "t").await;
        assert_eq!(response.status, expected, "{case}");
        assert_eq!(
            response.header("www-authenticate"),
            (expected == 401).then_some("Bearer"),
            "{case}"
        );
        assert_eq!(response.text().contains("inference_pool"), expected == 200, "{case}");
    }
}

#[tokio::test]
async fn scrapes_get_503_while_the_api_server_is_down() {
    let api = ApiServer::start(prometheus(), allowed()).await;
    let server = start(&api, LONG).await;
    drop(api);
    assert_eq!(get(&server, "t").await.status, 503);
}

#[tokio::test]
async fn scrapes_get_503_when_the_api_server_does_not_respond_in_time() {
    for (token, access) in [(Reply::Never, allowed()), (prometheus(), Reply::Never)] {
        let api = ApiServer::start(token, access).await;
        let server = start(&api, Times { patience: SOON, ..LONG }).await;
        assert_eq!(get(&server, "t").await.status, 503);
    }
}

#[tokio::test]
async fn a_request_without_a_token_sends_no_review() {
    let api = ApiServer::start(prometheus(), allowed()).await;
    let server = start(&api, LONG).await;
    for headers in [
        &[] as &[&str],
        &["authorization: Basic abc"],
        &["authorization: Bearer "],
    ] {
        let response = server.get("/metrics", headers).await;
        assert_eq!(
            (response.status, response.header("www-authenticate")),
            (401, Some("Bearer"))
        );
    }
    assert_eq!(server.get("/readyz", &["authorization: Bearer abc"]).await.status, 200);
    assert_eq!(api.counts(), (0, 0));
}

#[tokio::test]
async fn outcomes_are_cached_by_token() {
    let api = ApiServer::start(prometheus(), allowed()).await;
    let server = start(&api, LONG).await;
    for _ in 0..3 {
        assert_eq!(get(&server, "good").await.status, 200);
    }
    assert_eq!(api.counts(), (1, 1));
    api.reply_with(unknown(), allowed());
    for _ in 0..3 {
        assert_eq!(get(&server, "bad").await.status, 401);
    }
    assert_eq!(api.counts(), (2, 1));
    api.reply_with(prometheus(), not_allowed());
    for _ in 0..3 {
        assert_eq!(get(&server, "poor").await.status, 403);
    }
    assert_eq!(api.counts(), (3, 2));
    assert_eq!(get(&server, "good").await.status, 200);
    assert_eq!(api.counts(), (3, 2));
}

#[tokio::test]
async fn a_cached_permission_expires_while_the_api_server_is_down() {
    for down in [Reply::Code(500), Reply::Never] {
        let api = ApiServer::start(prometheus(), allowed()).await;
        let times = Times {
            allowed: 4 * SOON,
            refused: NEVER,
            unavailable: NEVER,
            patience: 4 * SOON,
        };
        let server = start(&api, times).await;
        assert_eq!(get(&server, "t").await.status, 200);
        api.reply_with(down, allowed());
        eventually(async || get(&server, "t").await.status == 503).await;
        assert_eq!(get(&server, "t").await.status, 503);
    }
}

#[tokio::test]
async fn a_granted_permission_and_a_recovered_api_server_count() {
    let api = ApiServer::start(prometheus(), not_allowed()).await;
    let times = Times {
        allowed: SOON,
        refused: SOON,
        unavailable: SOON,
        patience: NEVER,
    };
    let server = start(&api, times).await;
    assert_eq!(get(&server, "t").await.status, 403);
    api.reply_with(prometheus(), allowed());
    eventually(async || get(&server, "t").await.status == 200).await;
    api.reply_with(Reply::Code(500), allowed());
    eventually(async || get(&server, "t").await.status == 503).await;
    api.reply_with(prometheus(), allowed());
    eventually(async || get(&server, "t").await.status == 200).await;
    api.reply_with(unknown(), allowed());
    eventually(async || get(&server, "t").await.status == 401).await;
}

#[tokio::test]
async fn concurrent_requests_with_one_token_share_a_review() {
    let api = ApiServer::start_gated(prometheus(), allowed()).await;
    let server = Arc::new(start(&api, LONG).await);
    let mut clients = Vec::new();
    for _ in 0..30 {
        let mut client = server.connect().await;
        client
            .send(&request("GET", "/metrics", &["authorization: Bearer t"]))
            .await
            .unwrap();
        clients.push(client);
    }
    eventually(async || api.counts() == (1, 0)).await;
    // The client whose request sent the review disconnects; another request sends it again.
    clients.remove(0);
    assert_eq!(server.get("/healthz", &[]).await.status, 200);
    api.open_gate();
    for client in &mut clients {
        assert_eq!(client.response("GET").await.unwrap().status, 200);
    }
    let (tokens, accesses) = api.counts();
    assert!(tokens <= 2 && accesses == 1, "{tokens} {accesses}");
}

#[tokio::test]
async fn made_up_tokens_do_not_flood_the_api_server() {
    let api = ApiServer::start_gated(unknown(), allowed()).await;
    let server = start(&api, LONG).await;
    let tokens: Vec<_> = (0..60).map(|number| format!("made-up-{number}")).collect();
    let guessing = join_all(tokens.iter().map(|token| get(&server, token)));
    let opening = async {
        eventually(async || api.counts().0 == 8).await;
        // The other requests have arrived by now; they wait in the syncer, not at the API server.
        assert_eq!(server.get("/healthz", &[]).await.status, 200);
        assert_eq!(api.counts(), (8, 0));
        api.open_gate();
    };
    let (responses, ()) = tokio::join!(guessing, opening);
    assert!(responses.iter().all(|response| response.status == 401));
    assert_eq!(api.counts(), (60, 0));
}
