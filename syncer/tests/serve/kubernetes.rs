//! Kubernetes decides who may read.

use std::sync::Arc;

use futures::future::join_all;
use infertally_syncer::serve::Limits;
use infertally_syncer::serve::auth::{Auth, Kubernetes, Times};
use serde_json::json;

use crate::api_server::{ACCESS_REVIEWS, ApiServer, Say, TOKEN_REVIEWS, allowed, not_allowed, prometheus, unknown};
use crate::stage::{Answer, Fixed, NEVER, Running, SOON, closed, request, until};

/// Nothing is asked twice, and nobody waits in vain for long.
pub const LONG: Times = Times {
    allowed: NEVER,
    refused: NEVER,
    unavailable: NEVER,
    patience: NEVER,
};

pub async fn start(api: &ApiServer, times: Times) -> Running {
    let auth = Auth::Kubernetes(Box::new(Kubernetes::new(api.client.clone(), times)));
    Running::start(Fixed::small(), closed(auth, Limits::default())).await
}

async fn get(server: &Running, token: &str) -> Answer {
    server
        .get("/metrics", &[&format!("authorization: Bearer {token}")])
        .await
}

#[tokio::test]
async fn the_token_is_reviewed_and_then_its_user() {
    let api = ApiServer::start(prometheus(), allowed()).await;
    let server = start(&api, LONG).await;
    let answer = get(&server, "abc.def.ghi").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("inference_pool_ready_pods"));
    let asked = api.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].0, TOKEN_REVIEWS);
    assert_eq!(asked[0].1["kind"], "TokenReview");
    assert_eq!(asked[0].1["apiVersion"], "authentication.k8s.io/v1");
    assert_eq!(asked[0].1["spec"], json!({"token": "abc.def.ghi"}));
    assert_eq!(asked[1].0, ACCESS_REVIEWS);
    assert_eq!(asked[1].1["kind"], "SubjectAccessReview");
    assert_eq!(
        asked[1].1["spec"],
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
async fn every_answer_has_its_status() {
    let status = |status| Say::Status(status);
    let user = json!({"username": "a"});
    let echo = || Say::Bytes(r#"{"kind": "TokenReview", "spec": {"token": "t"}, "status": "t"}"#.to_owned());
    let cases = [
        (prometheus(), allowed(), 200),
        (status(json!({"authenticated": true, "user": user})), allowed(), 200),
        // No token that is known.
        (unknown(), allowed(), 401),
        (status(json!({})), allowed(), 401),
        (status(json!({"authenticated": false, "user": user})), allowed(), 401),
        (
            status(json!({"authenticated": true, "user": user, "error": "webhook: timeout"})),
            allowed(),
            401,
        ),
        // Known, without the right.
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
        // Not to be found out.
        (Say::Code(500), allowed(), 503),
        (Say::Code(403), allowed(), 503),
        (Say::Code(401), allowed(), 503),
        (Say::Code(302), allowed(), 503),
        (prometheus(), Say::Code(500), 503),
        (prometheus(), Say::Code(403), 503),
        (status(json!({"authenticated": true})), allowed(), 503),
        (
            status(json!({"authenticated": true, "user": {"username": ""}})),
            allowed(),
            503,
        ),
        (status(json!("yes")), allowed(), 503),
        (status(json!(null)), allowed(), 503),
        (echo(), allowed(), 503),
        (Say::Bytes(String::new()), allowed(), 503),
        (Say::Bytes("{\"kind\": \"TokenReview\"".to_owned()), allowed(), 503),
        (Say::Bytes("a".repeat(2_000_000)), allowed(), 503),
        (prometheus(), status(json!({"allowed": "true"})), 503),
        (prometheus(), Say::Bytes("true".to_owned()), 503),
    ];
    for (number, (token, access, expected)) in cases.into_iter().enumerate() {
        let case = format!("case {number}: {token:?}, {access:?}")
            .chars()
            .take(300)
            .collect::<String>();
        let api = ApiServer::start(token, access).await;
        let answer = get(&start(&api, LONG).await, "t").await;
        assert_eq!(answer.status, expected, "{case}");
        assert_eq!(
            answer.header("www-authenticate"),
            (expected == 401).then_some("Bearer"),
            "{case}"
        );
        assert_eq!(answer.text().contains("inference_pool"), expected == 200, "{case}");
    }
}

#[tokio::test]
async fn an_api_server_that_is_not_there_opens_nothing() {
    let api = ApiServer::start(prometheus(), allowed()).await;
    let server = start(&api, LONG).await;
    drop(api);
    assert_eq!(get(&server, "t").await.status, 503);
}

#[tokio::test]
async fn an_api_server_that_hangs_is_not_waited_for() {
    for (token, access) in [(Say::Nothing, allowed()), (prometheus(), Say::Nothing)] {
        let api = ApiServer::start(token, access).await;
        let server = start(&api, Times { patience: SOON, ..LONG }).await;
        assert_eq!(get(&server, "t").await.status, 503);
    }
}

#[tokio::test]
async fn without_a_token_nobody_is_asked() {
    let api = ApiServer::start(prometheus(), allowed()).await;
    let server = start(&api, LONG).await;
    for headers in [
        &[] as &[&str],
        &["authorization: Basic abc"],
        &["authorization: Bearer "],
    ] {
        let answer = server.get("/metrics", headers).await;
        assert_eq!(
            (answer.status, answer.header("www-authenticate")),
            (401, Some("Bearer"))
        );
    }
    assert_eq!(server.get("/readyz", &["authorization: Bearer abc"]).await.status, 200);
    assert_eq!(api.counts(), (0, 0));
}

#[tokio::test]
async fn each_answer_is_kept_for_its_token() {
    let api = ApiServer::start(prometheus(), allowed()).await;
    let server = start(&api, LONG).await;
    for _ in 0..3 {
        assert_eq!(get(&server, "good").await.status, 200);
    }
    assert_eq!(api.counts(), (1, 1));
    api.say(unknown(), allowed());
    for _ in 0..3 {
        assert_eq!(get(&server, "bad").await.status, 401);
    }
    assert_eq!(api.counts(), (2, 1));
    api.say(prometheus(), not_allowed());
    for _ in 0..3 {
        assert_eq!(get(&server, "poor").await.status, 403);
    }
    assert_eq!(api.counts(), (3, 2));
    assert_eq!(get(&server, "good").await.status, 200);
    assert_eq!(api.counts(), (3, 2));
}

#[tokio::test]
async fn a_permission_ends_with_its_time_when_the_api_server_is_away() {
    for away in [Say::Code(500), Say::Nothing] {
        let api = ApiServer::start(prometheus(), allowed()).await;
        let times = Times {
            allowed: 4 * SOON,
            refused: NEVER,
            unavailable: NEVER,
            patience: 4 * SOON,
        };
        let server = start(&api, times).await;
        assert_eq!(get(&server, "t").await.status, 200);
        api.say(away, allowed());
        until(async || get(&server, "t").await.status == 503).await;
        assert_eq!(get(&server, "t").await.status, 503);
    }
}

#[tokio::test]
async fn a_right_that_is_given_and_an_api_server_that_is_back_are_seen() {
    let api = ApiServer::start(prometheus(), not_allowed()).await;
    let times = Times {
        allowed: SOON,
        refused: SOON,
        unavailable: SOON,
        patience: NEVER,
    };
    let server = start(&api, times).await;
    assert_eq!(get(&server, "t").await.status, 403);
    api.say(prometheus(), allowed());
    until(async || get(&server, "t").await.status == 200).await;
    api.say(Say::Code(500), allowed());
    until(async || get(&server, "t").await.status == 503).await;
    api.say(prometheus(), allowed());
    until(async || get(&server, "t").await.status == 200).await;
    api.say(unknown(), allowed());
    until(async || get(&server, "t").await.status == 401).await;
}

#[tokio::test]
async fn many_requests_with_one_token_ask_once() {
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
    until(async || api.counts() == (1, 0)).await;
    // Whoever asked may go away; another asks in its place.
    clients.remove(0);
    assert_eq!(server.get("/healthz", &[]).await.status, 200);
    api.open_gate();
    for client in &mut clients {
        assert_eq!(client.answer("GET").await.unwrap().status, 200);
    }
    let (tokens, rights) = api.counts();
    assert!(tokens <= 2 && rights == 1, "{tokens} {rights}");
}

#[tokio::test]
async fn made_up_tokens_do_not_flood_the_api_server() {
    let api = ApiServer::start_gated(unknown(), allowed()).await;
    let server = start(&api, LONG).await;
    let tokens: Vec<_> = (0..60).map(|number| format!("made-up-{number}")).collect();
    let guessing = join_all(tokens.iter().map(|token| get(&server, token)));
    let opening = async {
        until(async || api.counts().0 == 8).await;
        // The others have been sent by now, and wait here, not there.
        assert_eq!(server.get("/healthz", &[]).await.status, 200);
        assert_eq!(api.counts(), (8, 0));
        api.open_gate();
    };
    let (answers, ()) = tokio::join!(guessing, opening);
    assert!(answers.iter().all(|answer| answer.status == 401));
    assert_eq!(api.counts(), (60, 0));
}
