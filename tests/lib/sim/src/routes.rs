//! Owns one server's answers: which request gets which, and the faults that come before the headers.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, SERVER, VARY};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::{Instant, sleep};

use crate::answer::Finish;
use crate::api_error::ApiError;
use crate::behaviour::{Behaviour, BehaviourError, BehaviourErrors, Ending};
use crate::body::PlannedBody;
use crate::clock;
use crate::inference::{self, Served};
use crate::journal::{Call, Journal};
use crate::lora::{About, Shelf};
use crate::metrics::{Meters, Work};
use crate::reply::{self, JSON, cut, typed, untyped};
use crate::request::{Ask, Kind};
use crate::route::Route;
use crate::server::SimConfig;
use crate::standing::Standing;

/// The largest request body that is read: room for long prompts and images, not for a client in a loop.
const MAX_REQUEST_BYTES: usize = 64 << 20;
/// Adapters that one batch may mix: told in the LoRA gauge, and not enforced.
const MAX_LORA: usize = 4;

const METRICS: &str = "text/plain; version=1.0.0; charset=utf-8";
/// One server's state and its answers.
#[derive(Debug)]
pub(crate) struct App {
    shelf: Arc<Mutex<Shelf>>,
    meters: Arc<Meters>,
    max_model_len: u64,
    answered: AtomicU64,
    always: Mutex<Standing>,
    api_key: Mutex<Option<String>>,
    journal: Mutex<Journal>,
}

/// Why there is no proper answer.
enum Refusal {
    Api(ApiError),
    /// The connection is to be closed without one.
    Cut,
}

// === impl App ===

impl App {
    pub(crate) fn new(config: &SimConfig) -> Self {
        let SimConfig {
            listen: _,
            base_model,
            adapters,
            max_model_len,
            max_running,
            api_key,
            loads_in_place,
        } = config;
        let shelf = Shelf::new(base_model, *max_model_len, adapters, *loads_in_place);
        Self {
            shelf: Arc::new(Mutex::new(shelf)),
            meters: Arc::new(Meters::new(base_model, MAX_LORA, *max_running)),
            max_model_len: *max_model_len,
            answered: AtomicU64::new(0),
            always: Mutex::default(),
            api_key: Mutex::new(api_key.clone()),
            journal: Mutex::default(),
        }
    }

    pub(crate) fn always(&self, what: &str, behaviour: Behaviour) {
        lock(&self.always).set(what, behaviour, Instant::now());
    }

    pub(crate) fn set_api_key(&self, key: Option<&str>) {
        *lock(&self.api_key) = key.map(str::to_owned);
    }

    pub(crate) fn forget_adapters(&self) {
        lock(&self.shelf).forget();
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }

    /// Answers a request; an error closes the connection.
    pub(crate) async fn serve(&self, request: Request<Incoming>) -> io::Result<Response<PlannedBody>> {
        let mut response = match self.answer(request).await {
            Ok(response) => response,
            Err(Refusal::Api(error)) => typed(error.status, JSON, error.body()),
            Err(Refusal::Cut) => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut by x-sim")),
        };
        response
            .headers_mut()
            .insert(SERVER, HeaderValue::from_static("uvicorn"));
        response.headers_mut().insert(VARY, HeaderValue::from_static("Origin"));
        Ok(response)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<PlannedBody>, Refusal> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let asked = Behaviour::from_headers(&head.headers)?;
        // Read to its end, so that closing the connection later does not reset it under the client's hands.
        let body = match Limited::new(body, MAX_REQUEST_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return Err(unread(&*error)),
        };
        let route = Route::of(path);
        if route.is_some_and(Route::manages) {
            self.journal().add(Call {
                at: Instant::now(),
                method: head.method.to_string(),
                path: path.to_owned(),
                authorization: head.headers.get(AUTHORIZATION).map(readable),
                body: String::from_utf8_lossy(&body).into_owned(),
            });
        }
        if path.starts_with("/v1") && !self.lets_in(&head.headers) {
            return Ok(typed(StatusCode::UNAUTHORIZED, JSON, r#"{"error":"Unauthorized"}"#));
        }
        let behaviour = match asked {
            Some(asked) => asked,
            None => self.standing(path, route, &body)?,
        };
        if let (Some(Route::Infer(kind)), &Method::POST, None) = (route, &head.method, behaviour.status) {
            return self.infer(kind, &head.headers, &body, &behaviour).await;
        }
        if let Some(key) = behaviour.needs_stream() {
            return Err(BehaviourErrors::from(BehaviourError::NeedsStream(key)).into());
        }
        if let (Some(route @ (Route::LoadAdapter | Route::UnloadAdapter)), &Method::POST, None) =
            (route, &head.method, behaviour.status)
        {
            return Ok(cut(self.change(route, body, &behaviour).await?, &behaviour));
        }
        before_headers(&behaviour).await?;
        let answer = match behaviour.status {
            Some(status) => reply::asked_for(status, behaviour.body),
            None => self.tell(route, &head.method),
        };
        Ok(cut(answer, &behaviour))
    }

    /// What a request gets that brings no `x-sim`: an adapter's path may hold one, else what stands here.
    fn standing(&self, path: &str, route: Option<Route>, body: &[u8]) -> Result<Behaviour, BehaviourErrors> {
        let about = match route {
            Some(Route::LoadAdapter | Route::UnloadAdapter) => About::read(body),
            _ => About::default(),
        };
        match about.faults {
            Some(faults) => Behaviour::of_one_request(&faults),
            None => Ok(lock(&self.always).take(path, about.name.as_deref(), Instant::now())),
        }
    }

    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let given = || headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ');
        lock(&self.api_key).as_deref().is_none_or(|key| {
            given().is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && token == key)
        })
    }

    /// A load or unload. As in vLLM, it comes to its end also when the client has gone away meanwhile.
    async fn change(&self, route: Route, body: Bytes, behaviour: &Behaviour) -> Result<Response<PlannedBody>, Refusal> {
        let (shelf, delay) = (Arc::clone(&self.shelf), behaviour.delay);
        if behaviour.ending.is_before_headers() {
            before_headers(behaviour).await?;
        }
        let change = tokio::spawn(async move {
            sleep(delay).await;
            let mut shelf = lock(&shelf);
            match route {
                Route::LoadAdapter => shelf.load(&body),
                _ => shelf.unload(&body),
            }
        });
        Ok(untyped(change.await.map_err(|_| Refusal::Cut)??))
    }

    /// What a request that changes nothing gets.
    fn tell(&self, route: Option<Route>, method: &Method) -> Response<PlannedBody> {
        let Some(route) = route else {
            return typed(StatusCode::NOT_FOUND, JSON, r#"{"detail":"Not Found"}"#);
        };
        if method != route.method() {
            let mut response = typed(
                StatusCode::METHOD_NOT_ALLOWED,
                JSON,
                r#"{"detail":"Method Not Allowed"}"#,
            );
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static(route.allow()));
            return response;
        }
        match route {
            Route::Metrics => typed(StatusCode::OK, METRICS, self.meters.render()),
            Route::Models => {
                let models = lock(&self.shelf).list(clock::since_epoch().as_secs());
                typed(StatusCode::OK, JSON, models)
            }
            // The others change something or infer, and were answered before.
            Route::Health | Route::LoadAdapter | Route::UnloadAdapter | Route::Infer(_) => untyped(String::new()),
        }
    }

    async fn infer(
        &self,
        kind: Kind,
        headers: &HeaderMap,
        body: &[u8],
        behaviour: &Behaviour,
    ) -> Result<Response<PlannedBody>, Refusal> {
        let asked = json_only(headers).and_then(|()| Ask::read(kind, body, self.max_model_len));
        let asked = asked.and_then(|ask| lock(&self.shelf).find(ask.model.as_deref()).map(|found| (ask, found)));
        let (ask, (model, is_adapter)) = match asked {
            Ok(asked) => asked,
            Err(error) => {
                before_headers(behaviour).await?;
                return Err(error.into());
            }
        };
        let adapter = is_adapter.then(|| model.clone());
        let finish = if ask.limited { Finish::Length } else { Finish::Stop };
        let served = Served {
            model,
            id: self.id(kind, headers),
            created: clock::since_epoch().as_secs(),
        };
        let accepted = inference::accept(ask, served, behaviour)?;
        let decision = &accepted.decision;
        let work = Work::new(adapter, decision.prompt_tokens, decision.completion_tokens(), finish);
        let place = self.meters.admit(work).await;
        before_headers(behaviour).await?;
        Ok(accepted.respond(behaviour)?.map(|body| body.carrying(place)))
    }

    /// The answer's id: the request's own where it has one, as vLLM does, else a new one.
    fn id(&self, kind: Kind, headers: &HeaderMap) -> String {
        let prefix = match kind {
            Kind::Chat => "chatcmpl",
            Kind::Completions => "cmpl",
        };
        let plain = |id: &&str| id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        match headers
            .get("x-request-id")
            .and_then(|id| id.to_str().ok())
            .filter(plain)
        {
            Some(id) => format!("{prefix}-{id}"),
            // Multiplied by an odd number, the count stays unique and looks like the random ids of a real server.
            None => {
                let count = self.answered.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
                format!("{prefix}-{:016x}", count.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            }
        }
    }
}

/// Waits, closes or hangs where the request asked for it.
async fn before_headers(behaviour: &Behaviour) -> Result<(), Refusal> {
    if !behaviour.delay.is_zero() {
        sleep(behaviour.delay).await;
    }
    match behaviour.ending {
        Ending::CutHeaders => Err(Refusal::Cut),
        // hyper drops this when the client goes away.
        Ending::HangHeaders => std::future::pending().await,
        _ => Ok(()),
    }
}

fn readable(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn json_only(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media = given.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case(JSON) {
        return Ok(());
    }
    let message = "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed";
    Err(ApiError::new(StatusCode::BAD_REQUEST, "Bad Request", message))
}

fn unread(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Refusal {
    if error.is::<http_body_util::LengthLimitError>() {
        let message = format!("the request body is over {MAX_REQUEST_BYTES} bytes");
        return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "BadRequestError", message).into();
    }
    Refusal::Cut
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Refusal ===

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<BehaviourErrors> for Refusal {
    fn from(mistakes: BehaviourErrors) -> Self {
        Self::Api(ApiError::bad_request("x-sim", mistakes))
    }
}
