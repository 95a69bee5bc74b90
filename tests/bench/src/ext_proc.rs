//! A rival: an `ext_proc` server that reads the same facts with the same parsers, in a process of its own. It attaches to
//! Envoy as the Gateway API Inference Extension's endpoint picker does, with full-duplex streamed bodies, and passes each
//! message on at once. It is generous to the rival: the server makes no metrics and chooses no endpoint.

mod messages;

use std::net::SocketAddr;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use futures::future::{Ready, ready};
use futures::{Stream, StreamExt};
use infertally_filter::request::RequestReader;
use infertally_filter::response::ResponseReader;
use infertally_filter::route::{Api, Routes};
use infertally_harness::client;
use infertally_harness::envoy::loopback;
use infertally_harness::ports::Port;
use infertally_harness::process::{Process, folder};
use infertally_harness::{Result, eventually};
use tokio::net::TcpListener;
use tonic::server::{Grpc, StreamingService};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use messages::{HttpBody, HttpHeaders, ProcessingRequest, ProcessingResponse, RequestPhase};

/// The HTTP path of the gRPC method that Envoy calls.
const METHOD: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
/// Serves the totals, so that a run can check that the server read what it is measured for.
const TOTALS: &str = "/totals";

/// The facts of all exchanges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
}

/// [`Totals`] that all streams add to.
#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    input_tokens: AtomicU64,
    output_tokens: AtomicU64,
}

/// The server as a child process.
#[derive(Debug)]
pub(crate) struct ExtProc {
    // Dropped first, so that the port is free when it is released.
    process: Process,
    port: Port,
}

/// The gRPC method.
struct Processor(Arc<Counters>);

/// One stream: an HTTP request and its response.
struct Exchange {
    counters: Arc<Counters>,
    routes: Routes,
    api: Option<Api>,
    request: Option<RequestReader>,
    response: Option<ResponseReader>,
}

/// Serves until the process is killed.
///
/// # Errors
/// If the port is taken.
pub async fn serve(address: SocketAddr) -> Result<()> {
    let app = Router::new()
        .route(METHOD, post(process))
        .route(TOTALS, get(totals))
        .with_state(Arc::new(Counters::default()));
    // Without it, a small message waits for the acknowledgement of the previous one, up to 40 ms.
    let listener = TcpListener::bind(address).await?.tap_io(|connection| {
        _ = connection.set_nodelay(true);
    });
    axum::serve(listener, app).await?;
    Ok(())
}

async fn process(State(counters): State<Arc<Counters>>, request: Request) -> Response<tonic::body::Body> {
    Grpc::new(ProstCodec::default())
        .streaming(Processor(counters), request)
        .await
}

async fn totals(State(counters): State<Arc<Counters>>) -> String {
    let Counters {
        requests,
        input_tokens,
        output_tokens,
    } = &*counters;
    [requests, input_tokens, output_tokens]
        .map(|counter| counter.load(Ordering::Relaxed).to_string())
        .join(" ")
}

// === impl ExtProc ===

impl ExtProc {
    /// Starts `binary` on a reserved port and waits until it serves.
    pub(crate) async fn start(binary: &std::path::Path) -> Result<Self> {
        let port = Port::reserve()?;
        let mut command = Command::new(binary);
        command.args(["--port", &port.number().to_string()]);
        let process = Process::start(&command, folder("ext-proc")?)?;
        let server = Self { process, port };
        eventually(|| async { server.totals().await.map(|_| ()) })
            .await
            .map_err(|error| format!("{error}\n{}", server.process.log()))?;
        Ok(server)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number()
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) async fn totals(&self) -> Result<Totals> {
        let text = client::get(loopback(self.port()), TOTALS).await?;
        let numbers: std::result::Result<Vec<u64>, _> = text.split(' ').map(str::parse).collect();
        match *numbers?.as_slice() {
            [requests, input_tokens, output_tokens] => Ok(Totals {
                requests,
                input_tokens,
                output_tokens,
            }),
            _ => Err(format!("invalid totals: {text:?}").into()),
        }
    }
}

// === impl Processor ===

impl StreamingService<ProcessingRequest> for Processor {
    type Response = ProcessingResponse;
    type ResponseStream = Pin<Box<dyn Stream<Item = std::result::Result<ProcessingResponse, Status>> + Send>>;
    type Future = Ready<std::result::Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<ProcessingRequest>>) -> Self::Future {
        let mut exchange = Exchange::new(Arc::clone(&self.0));
        let responses = request.into_inner().map(move |message| {
            exchange
                .next(message?)
                .ok_or_else(|| Status::invalid_argument("empty message"))
        });
        ready(Ok(tonic::Response::new(Box::pin(responses))))
    }
}

// === impl Exchange ===

impl Exchange {
    fn new(counters: Arc<Counters>) -> Self {
        Self {
            counters,
            routes: Routes::default(),
            api: None,
            request: None,
            response: None,
        }
    }

    /// Reads a message and returns the response that passes it on unchanged.
    fn next(&mut self, message: ProcessingRequest) -> Option<ProcessingResponse> {
        Some(match message.request? {
            RequestPhase::RequestHeaders(headers) => {
                self.request_headers(&headers);
                ProcessingResponse::request_headers()
            }
            RequestPhase::RequestBody(body) => {
                if let Some(reader) = &mut self.request {
                    read(&body, reader, RequestReader::wants_more, RequestReader::feed);
                }
                ProcessingResponse::request_body(body)
            }
            RequestPhase::ResponseHeaders(headers) => {
                let header = |name| headers.value(name);
                self.response = self
                    .api
                    .map(|api| ResponseReader::new(api, header("content-type"), header("content-encoding")));
                ProcessingResponse::response_headers()
            }
            RequestPhase::ResponseBody(body) => {
                if let Some(reader) = &mut self.response {
                    read(&body, reader, ResponseReader::wants_more, ResponseReader::feed);
                }
                if body.end_of_stream {
                    self.finish();
                }
                ProcessingResponse::response_body(body)
            }
            RequestPhase::RequestTrailers(_) => ProcessingResponse::request_trailers(),
            RequestPhase::ResponseTrailers(_) => {
                self.finish();
                ProcessingResponse::response_trailers()
            }
        })
    }

    fn request_headers(&mut self, headers: &HttpHeaders) {
        let header = |name| headers.value(name).unwrap_or_default();
        self.api = self.routes.api(header(":method"), header(":path"));
        self.request = self
            .api
            .map(|api| RequestReader::new(api, headers.value("content-encoding")));
    }

    fn finish(&mut self) {
        if let Some(mut request) = self.request.take() {
            request.finish();
        }
        if let Some(mut response) = self.response.take() {
            response.finish();
            let usage = response.facts().usage;
            let counters = &self.counters;
            counters.requests.fetch_add(1, Ordering::Relaxed);
            counters
                .input_tokens
                .fetch_add(usage.input.unwrap_or_default(), Ordering::Relaxed);
            counters
                .output_tokens
                .fetch_add(usage.output.unwrap_or_default(), Ordering::Relaxed);
        }
    }
}

fn read<R>(body: &HttpBody, reader: &mut R, wants_more: fn(&R) -> bool, feed: fn(&mut R, &[u8])) {
    if wants_more(reader) {
        feed(reader, &body.body);
    }
}
