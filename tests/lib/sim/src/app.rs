//! Routes requests to responses and applies the faults that come before the response headers.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, SERVER, VARY};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::{Instant, sleep};

use crate::api_error::ApiError;
use crate::behaviour::{Behaviour, BehaviourError, BehaviourErrors, ResponseEnd};
use crate::body::{self, PlannedBody};
use crate::clock;
use crate::config::{AdapterApi, SimConfig};
use crate::inference::{self, ResponseMeta};
use crate::inference_request::{InferenceRequest, Kind};
use crate::metrics::{ActiveRequest, Metrics};
use crate::models::{AdapterTarget, ModelRegistry};
use crate::path_behaviours::PathBehaviours;
use crate::request_log::{ReceivedRequest, RequestLog};
use crate::response::{self, JSON, cut, typed, untyped};
use crate::route::Route;
use crate::sglang;

/// Limit of a request body: room for long prompts and images, but not for a client in a loop.
const MAX_REQUEST_BYTES: usize = 64 << 20;
/// The `max_lora` label of the LoRA gauge; not enforced.
const MAX_LORA: usize = 4;

const METRICS: &str = "text/plain; version=1.0.0; charset=utf-8";

#[derive(Debug)]
pub(crate) struct App {
    models: Arc<Mutex<ModelRegistry>>,
    metrics: Arc<Metrics>,
    adapter_api: AdapterApi,
    max_model_len: u64,
    next_id: AtomicU64,
    behaviours: Mutex<PathBehaviours>,
    api_key: Mutex<Option<String>>,
    request_log: Mutex<RequestLog>,
}

/// Why a request gets no regular response.
enum Rejection {
    Api(ApiError),
    /// The connection is closed without a response.
    Close,
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
            supports_load_inplace,
            adapter_api,
        } = config;
        let models = ModelRegistry::new(base_model, *max_model_len, adapters, *supports_load_inplace);
        Self {
            models: Arc::new(Mutex::new(models)),
            metrics: Arc::new(Metrics::new(base_model, MAX_LORA, *max_running)),
            adapter_api: *adapter_api,
            max_model_len: *max_model_len,
            next_id: AtomicU64::new(1),
            behaviours: Mutex::default(),
            api_key: Mutex::new(api_key.clone()),
            request_log: Mutex::default(),
        }
    }

    pub(crate) fn set_behaviour(&self, path: &str, behaviour: Behaviour) {
        lock(&self.behaviours).set(path, behaviour, Instant::now());
    }

    pub(crate) fn set_api_key(&self, key: Option<&str>) {
        *lock(&self.api_key) = key.map(str::to_owned);
    }

    pub(crate) fn set_adapters(&self, adapters: &[(&str, &str)]) {
        lock(&self.models).set(adapters);
    }

    pub(crate) fn reset_adapters(&self) {
        lock(&self.models).reset();
    }

    pub(crate) fn request_log(&self) -> MutexGuard<'_, RequestLog> {
        lock(&self.request_log)
    }

    /// The response to a request; an error closes the connection.
    pub(crate) async fn serve(&self, request: Request<Incoming>) -> io::Result<Response<PlannedBody>> {
        let mut response = match self.respond(request).await {
            Ok(response) => response,
            Err(Rejection::Api(error)) => typed(error.status, JSON, error.body()),
            Err(Rejection::Close) => return Err(body::aborted()),
        };
        response
            .headers_mut()
            .insert(SERVER, HeaderValue::from_static("uvicorn"));
        response.headers_mut().insert(VARY, HeaderValue::from_static("Origin"));
        Ok(response)
    }

    async fn respond(&self, request: Request<Incoming>) -> Result<Response<PlannedBody>, Rejection> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let own_behaviour = Behaviour::from_headers(&head.headers)?;
        // Unread bytes would turn closing the connection into a reset, and the client could lose the response.
        let body = match Limited::new(body, MAX_REQUEST_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return Err(body_error(&*error)),
        };
        let route = Route::of(path, self.adapter_api);
        if route.is_some_and(Route::is_management) {
            self.request_log().add(ReceivedRequest {
                at: Instant::now(),
                method: head.method.to_string(),
                path: path.to_owned(),
                authorization: head.headers.get(AUTHORIZATION).map(lossy),
                body: String::from_utf8_lossy(&body).into_owned(),
            });
        }
        if path.starts_with("/v1") && !self.is_authorized(&head.headers) {
            return Ok(typed(StatusCode::UNAUTHORIZED, JSON, r#"{"error":"Unauthorized"}"#));
        }
        let behaviour = match own_behaviour {
            Some(behaviour) => behaviour,
            None => self.behaviour_of(path, route, &body)?,
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
        let response = match behaviour.status {
            Some(status) => response::injected(status, behaviour.body),
            None => self.read(route, &head.method),
        };
        Ok(cut(response, &behaviour))
    }

    /// The behaviour of a request without `x-sim`: that in the adapter's path, else that of the path.
    fn behaviour_of(&self, path: &str, route: Option<Route>, body: &[u8]) -> Result<Behaviour, BehaviourErrors> {
        let target = match route {
            Some(Route::LoadAdapter | Route::UnloadAdapter) => AdapterTarget::parse(body),
            _ => AdapterTarget::default(),
        };
        match target.faults {
            Some(faults) => Behaviour::for_request(&faults),
            None => Ok(lock(&self.behaviours).take(path, target.name.as_deref(), Instant::now())),
        }
    }

    fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let given = || headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ');
        lock(&self.api_key).as_deref().is_none_or(|key| {
            given().is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && token == key)
        })
    }

    /// A load or unload. As in vLLM, it completes even if the client has disconnected.
    async fn change(
        &self,
        route: Route,
        body: Bytes,
        behaviour: &Behaviour,
    ) -> Result<Response<PlannedBody>, Rejection> {
        let (models, delay, api) = (Arc::clone(&self.models), behaviour.delay, self.adapter_api);
        if behaviour.end.is_before_headers() {
            before_headers(behaviour).await?;
        }
        let change = tokio::spawn(async move {
            sleep(delay).await;
            let mut models = lock(&models);
            let loads = matches!(route, Route::LoadAdapter);
            match api {
                AdapterApi::Vllm if loads => models.load(&body).map(untyped),
                AdapterApi::Vllm => models.unload(&body).map(untyped),
                AdapterApi::Sglang => Ok(sglang::change(&mut models, loads, &body)),
            }
        });
        Ok(change.await.map_err(|_| Rejection::Close)??)
    }

    /// The response to a request that changes nothing.
    fn read(&self, route: Option<Route>, method: &Method) -> Response<PlannedBody> {
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
            Route::Metrics => typed(StatusCode::OK, METRICS, self.metrics.render()),
            Route::Models => {
                let models = lock(&self.models).list(self.adapter_api, clock::since_epoch().as_secs());
                typed(StatusCode::OK, JSON, models)
            }
            // The others were handled before this is called.
            Route::Health | Route::LoadAdapter | Route::UnloadAdapter | Route::Infer(_) => untyped(String::new()),
        }
    }

    async fn infer(
        &self,
        kind: Kind,
        headers: &HeaderMap,
        body: &[u8],
        behaviour: &Behaviour,
    ) -> Result<Response<PlannedBody>, Rejection> {
        let parsed = json_only(headers).and_then(|()| InferenceRequest::parse(kind, body, self.max_model_len));
        let parsed = parsed.and_then(|request| {
            let model = lock(&self.models).find(request.model.as_deref())?;
            Ok((request, model))
        });
        let (request, (model, is_adapter)) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                before_headers(behaviour).await?;
                return Err(error.into());
            }
        };
        let adapter = is_adapter.then(|| model.clone());
        let meta = ResponseMeta {
            model,
            id: self.id(kind, headers),
            created: clock::since_epoch().as_secs(),
        };
        let accepted = inference::accept(request, meta, behaviour)?;
        let completion = &accepted.completion;
        let active = ActiveRequest::new(
            adapter,
            completion.prompt_tokens,
            completion.completion_tokens(),
            completion.finish,
        );
        let guard = self.metrics.admit(active).await;
        before_headers(behaviour).await?;
        Ok(accepted.respond(behaviour)?.map(|body| body.holding(guard)))
    }

    /// The id of the response: that of `x-request-id`, as in vLLM, else a new one.
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
            // Multiplied by a number without the factor 2, the count stays unique and looks like a real server's random id.
            None => {
                let count = self.next_id.fetch_add(1, Ordering::Relaxed);
                format!("{prefix}-{:016x}", count.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            }
        }
    }
}

async fn before_headers(behaviour: &Behaviour) -> Result<(), Rejection> {
    if !behaviour.delay.is_zero() {
        sleep(behaviour.delay).await;
    }
    match behaviour.end {
        ResponseEnd::CutHeaders => Err(Rejection::Close),
        // hyper drops this future when the client disconnects.
        ResponseEnd::HangHeaders => std::future::pending().await,
        _ => Ok(()),
    }
}

fn lossy(value: &HeaderValue) -> String {
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

fn body_error(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Rejection {
    if error.is::<http_body_util::LengthLimitError>() {
        let message = format!("request body exceeds {MAX_REQUEST_BYTES} bytes");
        return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "BadRequestError", message).into();
    }
    Rejection::Close
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Rejection ===

impl From<ApiError> for Rejection {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<BehaviourErrors> for Rejection {
    fn from(errors: BehaviourErrors) -> Self {
        Self::Api(ApiError::bad_request("x-sim", errors))
    }
}
