//! An API server that says what a test wants, and tells what it was asked.

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

/// What a review is answered with.
#[derive(Clone, Debug)]
pub enum Say {
    /// 201 and the review as it was asked, with this status.
    Status(Value),
    /// 201 and these bytes.
    Bytes(String),
    /// This code, and a body of the kind Status.
    Code(u16),
    /// Nothing, ever.
    Nothing,
}

/// The server; it ends when this is dropped.
pub struct ApiServer {
    pub client: Client,
    script: Arc<Script>,
    _serving: JoinSet<()>,
}

struct Script {
    says: Mutex<(Say, Say)>,
    asked: Mutex<Vec<(String, Value)>>,
    /// Answers wait for one of these each.
    gate: Semaphore,
}

// === impl ApiServer ===

impl ApiServer {
    /// Says this of tokens, and of rights.
    pub async fn start(token: Say, access: Say) -> Self {
        let server = Self::start_gated(token, access).await;
        server.open_gate();
        server
    }

    /// The same, but answers wait until the gate is opened.
    pub async fn start_gated(token: Say, access: Say) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let script = Arc::new(Script {
            says: Mutex::new((token, access)),
            asked: Mutex::default(),
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
                        async move { Ok::<_, Infallible>(script.answer(request).await) }
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

    /// From now on says this.
    pub fn say(&self, token: Say, access: Say) {
        *self.script.says.lock().unwrap() = (token, access);
    }

    /// Lets all answers pass.
    pub fn open_gate(&self) {
        self.script.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// What it was asked: paths and bodies.
    pub fn asked(&self) -> Vec<(String, Value)> {
        self.script.asked.lock().unwrap().clone()
    }

    /// How many token reviews and how many access reviews it was asked for.
    pub fn counts(&self) -> (usize, usize) {
        let asked = self.asked();
        let count = |wanted| asked.iter().filter(|(path, _)| path == wanted).count();
        (count(TOKEN_REVIEWS), count(ACCESS_REVIEWS))
    }
}

// === impl Script ===

impl Script {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut review: Value = serde_json::from_slice(&body).unwrap();
        self.asked
            .lock()
            .unwrap()
            .push((head.uri.path().to_owned(), review.clone()));
        self.gate.acquire().await.unwrap().forget();
        let (token, access) = self.says.lock().unwrap().clone();
        let say = match head.uri.path() {
            TOKEN_REVIEWS => token,
            ACCESS_REVIEWS => access,
            _ => Say::Code(404),
        };
        let (status, body) = match say {
            Say::Status(status) => {
                review["status"] = status;
                (StatusCode::CREATED, review.to_string())
            }
            Say::Bytes(bytes) => (StatusCode::CREATED, bytes),
            Say::Code(code) => {
                let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code});
                (StatusCode::from_u16(code).unwrap(), body.to_string())
            }
            Say::Nothing => std::future::pending().await,
        };
        let mut answer = Response::new(Full::from(body));
        *answer.status_mut() = status;
        answer
    }
}

/// A user as the API server knows one.
pub fn prometheus() -> Say {
    Say::Status(json!({
        "authenticated": true,
        "user": {
            "username": "system:serviceaccount:monitoring:prometheus",
            "uid": "8d6f7f4c",
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/pod-name": ["prometheus-0"]},
        },
    }))
}

/// The answer to a token that nobody has given out.
pub fn unknown() -> Say {
    Say::Status(json!({"authenticated": false, "error": "[invalid bearer token, token lookup failed]", "user": {}}))
}

pub fn allowed() -> Say {
    Say::Status(json!({"allowed": true, "reason": "RBAC: allowed by ClusterRoleBinding"}))
}

pub fn not_allowed() -> Say {
    Say::Status(json!({"allowed": false}))
}
