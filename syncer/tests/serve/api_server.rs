//! A scripted API server that records the reviews it receives.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
pub const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

/// The reply to a review.
#[derive(Clone, Debug)]
pub enum Reply {
    /// 201 and the review as it was sent, with this status.
    Status(Value),
    /// 201 and these bytes.
    Bytes(String),
    /// This code, and a Status object.
    Code(u16),
    /// None, ever.
    Never,
}

/// The server; it stops when this is dropped.
pub struct ApiServer {
    pub client: Client,
    script: Arc<Script>,
    _serving: JoinSet<()>,
}

struct Script {
    replies: Mutex<(Reply, Reply)>,
    received: Mutex<Vec<(String, Value)>>,
    /// Each reply waits for a permit.
    gate: Semaphore,
}

// === impl ApiServer ===

impl ApiServer {
    /// Replies with these to TokenReviews and SubjectAccessReviews.
    pub async fn start(token: Reply, access: Reply) -> Self {
        let server = Self::start_gated(token, access).await;
        server.open_gate();
        server
    }

    /// The same, but holds the replies until the gate is opened.
    pub async fn start_gated(token: Reply, access: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let script = Arc::new(Script {
            replies: Mutex::new((token, access)),
            received: Mutex::default(),
            gate: Semaphore::new(0),
        });
        let mut serving = JoinSet::new();
        serving.spawn({
            let script = Arc::clone(&script);
            async move {
                let mut connections = JoinSet::new();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let script = Arc::clone(&script);
                    let service = service_fn(move |request| {
                        let script = Arc::clone(&script);
                        async move { Ok::<_, Infallible>(script.reply(request).await) }
                    });
                    connections.spawn(async move {
                        _ = http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    });
                }
            }
        });
        let client = Client::try_from(Config::new(uri)).unwrap();
        Self {
            client,
            script,
            _serving: serving,
        }
    }

    /// From now on replies with these.
    pub fn reply_with(&self, token: Reply, access: Reply) {
        *self.script.replies.lock().unwrap() = (token, access);
    }

    /// Sends the replies held, and all that follow.
    pub fn open_gate(&self) {
        self.script.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// Paths and bodies of the requests.
    pub fn received(&self) -> Vec<(String, Value)> {
        self.script.received.lock().unwrap().clone()
    }

    /// Numbers of TokenReviews and SubjectAccessReviews.
    pub fn counts(&self) -> (usize, usize) {
        let received = self.received();
        let count = |review| received.iter().filter(|(path, _)| path == review).count();
        (count(TOKEN_REVIEWS), count(ACCESS_REVIEWS))
    }
}

// === impl Script ===

impl Script {
    async fn reply(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut review: Value = serde_json::from_slice(&body).unwrap();
        self.received
            .lock()
            .unwrap()
            .push((head.uri.path().to_owned(), review.clone()));
        self.gate.acquire().await.unwrap().forget();
        let (token, access) = self.replies.lock().unwrap().clone();
        let reply = match head.uri.path() {
            TOKEN_REVIEWS => token,
            ACCESS_REVIEWS => access,
            _ => Reply::Code(404),
        };
        let (status, body) = match reply {
            Reply::Status(status) => {
                review["status"] = status;
                (StatusCode::CREATED, review.to_string())
            }
            Reply::Bytes(bytes) => (StatusCode::CREATED, bytes),
            Reply::Code(code) => {
                let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code});
                (StatusCode::from_u16(code).unwrap(), body.to_string())
            }
            Reply::Never => std::future::pending().await,
        };
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status;
        response
    }
}

/// An authenticated user.
pub fn prometheus() -> Reply {
    Reply::Status(json!({
        "authenticated": true,
        "user": {
            "username": "system:serviceaccount:monitoring:prometheus",
            "uid": "8d6f7f4c",
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/pod-name": ["prometheus-0"]},
        },
    }))
}

/// The status of an invalid token.
pub fn unknown() -> Reply {
    Reply::Status(json!({"authenticated": false, "error": "[invalid bearer token, token lookup failed]", "user": {}}))
}

pub fn allowed() -> Reply {
    Reply::Status(json!({"allowed": true, "reason": "RBAC: allowed by ClusterRoleBinding"}))
}

pub fn not_allowed() -> Reply {
    Reply::Status(json!({"allowed": false}))
}
