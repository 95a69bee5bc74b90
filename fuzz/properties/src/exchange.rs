//! Whole exchanges: the part of Envoy that calls the filter, on several workers that share one process. Input: the
//! largest chunk of the second run, a configuration, a program.
//!
//! The program is run twice, the second time with every chunk cut into smaller ones, and must leave the same records and
//! the same stats behind. Any order of events is tried, also such as Envoy never has.

use std::sync::LazyLock;

use infertally_filter::config::Config;
use infertally_filter::exchange::{Exchange, MAX_INFLATING_BYTES, TerminatedBy, Termination};
use infertally_filter::fakes::FakeHost;
use infertally_filter::worker::HEARTBEAT_NS;
use infertally_filter::worker::Worker;

use crate::choices::Choices;
use crate::heap;
use crate::program::{Event, STREAMS, WORKERS};
use crate::response::{CODINGS, CONTENT_TYPES};
use crate::stats::{Finished, Stats, check_running};

/// Chosen by a byte, as are the lists below.
pub(crate) const PATHS: [&str; 15] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
    "/v1/rerank",
    "/v1/score",
    "/pooling",
    "/classify",
    "/v1/audio/transcriptions",
    "/v1/chat/completions/batch",
    "/generate",
    "/v1/models",
    "/tenant/v1/completions?a=/v1/embeddings",
    "",
];
pub(crate) const TARGETS: [Option<&str>; 6] = [
    None,
    Some("tiny"),
    Some("lora"),
    Some(""),
    Some("other"),
    Some("a;.;b=.=%\"\n"),
];
/// What an Envoy answers; the last ones no server should.
pub(crate) const STATUSES: [u16; 24] = [
    0, 200, 201, 204, 299, 304, 307, 400, 401, 403, 404, 408, 413, 422, 429, 499, 500, 501, 502, 503, 504, 599, 999,
    65535,
];
static CONFIGS: LazyLock<[Config; 5]> = LazyLock::new(|| {
    [
        "",
        r#"{"models": ["tiny"]}"#,
        r#"{"models": ["tiny", "base"], "maxModels": 0, "targetModelHeader": "x-target"}"#,
        r#"{"maxModels": 1, "paths": {"/generate": "chat", "/v1/score": "off"}}"#,
        r#"{"maxModels": 3, "targetModelHeader": "x-target"}"#,
    ]
    .map(|text| Config::parse(text.as_bytes()).0)
});
/// In the byte of an ending's status: Envoy follows a redirect itself.
const REDIRECTS: u8 = 0x80;
/// What a VM says that it has taken.
const MEMORY: u64 = 1 << 20;
/// Longer than a VM is without a heartbeat before the others take it for dead.
const LONG_NS: u64 = 20 * HEARTBEAT_NS;
/// The longest time that passes at once, as a power of two in nanoseconds: 17 s.
const MAX_BITS: u8 = 34;

/// An Envoy with its workers.
#[derive(Debug)]
struct Envoy {
    host: FakeHost,
    vms: Vec<Vm>,
    streams: Vec<Option<Stream>>,
    now_ns: u64,
    /// No chunk is larger.
    max_chunk: usize,
    finished: Vec<Finished>,
    /// VMs that there have been.
    started: usize,
    /// Of all configurations: the names that are label values anyway, and how many others may be.
    models: Vec<String>,
    max_models: usize,
}

/// A worker's VM.
#[derive(Debug)]
struct Vm {
    number: usize,
    worker: Worker,
}

/// An exchange that is measured.
#[derive(Debug)]
struct Stream {
    worker: u8,
    exchange: Exchange,
    request_bytes: u64,
    response_bytes: u64,
    began_ns: u64,
}

/// A direction.
#[derive(Clone, Copy, Debug)]
enum Way {
    Request,
    Response,
}

/// Panics if the filter breaks its word.
pub fn check(input: &[u8]) {
    let mut choices = Choices(input);
    let max_chunk = usize::from(choices.byte()) + 1;
    let config = choices.byte();
    let whole = Envoy::run(choices, config, usize::MAX);
    let cut = Envoy::run(choices, config, max_chunk);
    assert_eq!(whole.finished, cut.finished, "in chunks of {max_chunk}");
    assert_eq!(whole.host.stats(), cut.host.stats(), "in chunks of {max_chunk}");

    let stats = whole.host.stats();
    let stats = Stats::parse(&stats);
    stats.check(&whole.finished);
    stats.check_names(&whole.models, whole.max_models);
}

// === impl Envoy ===

impl Envoy {
    /// Runs the program to its end, then lets every exchange end.
    fn run(mut choices: Choices<'_>, config: u8, max_chunk: usize) -> Self {
        let mut envoy = Self {
            host: FakeHost::default(),
            vms: Vec::new(),
            streams: (0..STREAMS).map(|_| None).collect(),
            now_ns: 0,
            max_chunk,
            finished: Vec::new(),
            started: 0,
            models: Vec::new(),
            max_models: 0,
        };
        for _ in 0..WORKERS {
            let vm = envoy.vm(config);
            envoy.vms.push(vm);
        }
        while let Some(event) = Event::read(&mut choices) {
            envoy.step(event);
        }
        envoy.settle_gauge();
        check_running(&envoy.host.stats(), envoy.labels());
        for stream in 0..STREAMS {
            envoy.step(Event::Log {
                stream,
                status: 0,
                client_left: false,
            });
        }
        check_running(&envoy.host.stats(), [].into_iter());
        envoy
    }

    fn step(&mut self, event: Event<'_>) {
        match event {
            Event::RequestHeaders {
                stream,
                worker,
                path,
                target,
                end,
            } => {
                self.step(Event::Log {
                    stream,
                    status: 0,
                    client_left: true,
                });
                self.begin(stream, worker, path, target);
                if end {
                    self.request_end(stream);
                }
            }
            Event::RequestBody { stream, end, bytes } => self.body(Way::Request, stream, bytes, end),
            Event::RequestTrailers { stream } => self.request_end(stream),
            Event::ResponseHeaders {
                stream,
                status,
                content_type,
                coding,
                end,
            } => {
                let now_ns = self.now_ns;
                if let Some(stream) = self.stream(stream) {
                    let content_type = chosen(&CONTENT_TYPES, content_type).flatten();
                    stream.exchange.response_headers(
                        chosen(&STATUSES, status).unwrap_or_default(),
                        content_type.map(str::as_bytes),
                        chosen(&CODINGS, coding).flatten().map(str::as_bytes),
                    );
                    if end {
                        stream.exchange.response_end(now_ns);
                    }
                }
                self.settle(stream);
            }
            Event::ResponseBody { stream, end, bytes } => self.body(Way::Response, stream, bytes, end),
            Event::ResponseTrailers { stream } => {
                let now_ns = self.now_ns;
                if let Some(stream) = self.stream(stream) {
                    stream.exchange.response_end(now_ns);
                }
            }
            Event::Log {
                stream,
                status,
                client_left,
            } => self.log(stream, status, client_left),
            Event::Beat { worker } => {
                if let Some(vm) = self.vms.get_mut(usize::from(worker)) {
                    vm.worker.heartbeat(self.now_ns, MEMORY, &mut self.host);
                }
            }
            Event::Pass { bits } => self.now_ns += 1 << (bits % (MAX_BITS + 1)),
            Event::Configure { worker, config } => {
                let config = self.config(config);
                if let Some(vm) = self.vms.get_mut(usize::from(worker)) {
                    vm.worker.configure(config, 0, &mut self.host);
                }
            }
            Event::Die { worker } => {
                for stream in &mut self.streams {
                    stream.take_if(|stream| stream.worker == worker);
                }
                let vm = self.vm(0);
                if let Some(dead) = self.vms.get_mut(usize::from(worker)) {
                    *dead = vm;
                }
            }
        }
    }

    /// A new VM.
    fn vm(&mut self, config: u8) -> Vm {
        self.started += 1;
        Vm {
            number: self.started,
            worker: Worker::new(self.config(config)),
        }
    }

    fn config(&mut self, number: u8) -> Config {
        let config: Config = chosen_ref(CONFIGS.as_slice(), number).cloned().unwrap_or_default();
        self.models.extend(config.models.iter().cloned());
        self.max_models = self.max_models.max(config.max_models);
        config
    }

    fn stream(&mut self, stream: u8) -> Option<&mut Stream> {
        self.streams.get_mut(usize::from(stream))?.as_mut()
    }

    fn begin(&mut self, stream: u8, number: u8, path: u8, target: u8) {
        let (Some(Vm { worker, .. }), Some(slot)) = (
            self.vms.get(usize::from(number)),
            self.streams.get_mut(usize::from(stream)),
        ) else {
            return;
        };
        let path = chosen(&PATHS, path).unwrap_or_default();
        if let Some(api) = worker.route(b"POST", path.as_bytes()) {
            let target = worker.target_model_header().and(chosen(&TARGETS, target).flatten());
            *slot = Some(Stream {
                worker: number,
                exchange: Exchange::new(api, self.now_ns, target.map(Into::into)),
                request_bytes: 0,
                response_bytes: 0,
                began_ns: self.now_ns,
            });
        }
    }

    fn request_end(&mut self, stream: u8) {
        if let Some(stream) = self.stream(stream) {
            stream.exchange.request_end();
        }
        self.settle(stream);
    }

    /// A chunk, in as many callbacks as the run wants; the last one has the end.
    fn body(&mut self, way: Way, number: u8, bytes: &[u8], end: bool) {
        let now_ns = self.now_ns;
        let chunks = bytes.chunks(self.max_chunk.max(1)).collect::<Vec<_>>();
        let chunks = if chunks.is_empty() { vec![bytes] } else { chunks };
        for (index, chunk) in chunks.iter().enumerate() {
            let Some(stream) = self.stream(number) else { return };
            stream.body(way, chunk);
            let last = index + 1 == chunks.len();
            match way {
                Way::Request if last && end => self.request_end(number),
                Way::Request => {}
                Way::Response => {
                    if last && end {
                        stream.exchange.response_end(now_ns);
                    }
                    self.settle(number);
                }
            }
        }
    }

    fn settle(&mut self, stream: u8) {
        let Some(stream) = self.streams.get_mut(usize::from(stream)).and_then(Option::as_mut) else {
            return;
        };
        if let Some(vm) = self.vms.get_mut(usize::from(stream.worker)) {
            vm.worker
                .resolve_label(&mut stream.exchange, self.now_ns, &mut self.host);
        }
    }

    fn log(&mut self, stream: u8, status: u8, client_left: bool) {
        let Some(mut stream) = self.streams.get_mut(usize::from(stream)).and_then(Option::take) else {
            return;
        };
        let (code, redirects) = (status & !REDIRECTS, status & REDIRECTS != 0);
        let ending = if stream.exchange.is_response_complete() {
            Termination {
                status: None,
                by: TerminatedBy::Upstream,
            }
        } else {
            Termination {
                status: chosen(&STATUSES, code).filter(|status| *status != 0),
                by: match (redirects, client_left) {
                    (true, _) => TerminatedBy::Redirect,
                    (false, true) => TerminatedBy::Client,
                    (false, false) => TerminatedBy::Upstream,
                },
            }
        };
        if let Some(vm) = self.vms.get_mut(usize::from(stream.worker)) {
            let ended = vm
                .worker
                .finish(&mut stream.exchange, self.now_ns, ending, &mut self.host);
            assert_eq!(ended.is_none(), ending.by == TerminatedBy::Redirect);
            let Some(record) = ended else { return };
            assert_eq!(record.request_bytes, stream.request_bytes);
            assert_eq!(record.response_bytes, stream.response_bytes);
            let passed_us = (self.now_ns - stream.began_ns).div_ceil(1_000);
            assert!(
                record.duration_us <= passed_us,
                "{} us of {passed_us}",
                record.duration_us
            );
            self.finished.push(Finished { vm: vm.number, record });
        }
    }

    /// Lets the workers find out who has died, and whether they were taken for dead themselves.
    fn settle_gauge(&mut self) {
        self.now_ns += LONG_NS;
        for worker in (0..WORKERS).chain(0..WORKERS) {
            self.step(Event::Beat { worker });
        }
    }

    /// The model names of the exchanges that count as running.
    fn labels(&self) -> impl Iterator<Item = &str> {
        self.streams
            .iter()
            .flatten()
            .filter_map(|stream| Some(stream.exchange.label.as_ref()?.as_str()))
    }
}

// === impl Stream ===

impl Stream {
    fn body(&mut self, way: Way, chunk: &[u8]) {
        let exchange = &mut self.exchange;
        let (wanted, bytes) = match way {
            Way::Request => (exchange.request_body(chunk.len()), &mut self.request_bytes),
            Way::Response => (exchange.response_body(chunk.len()), &mut self.response_bytes),
        };
        *bytes += chunk.len() as u64;
        if wanted {
            let held = heap::peak(|| match way {
                Way::Request => exchange.read_request(chunk),
                Way::Response => exchange.read_response(chunk),
            });
            assert!(held <= MAX_INFLATING_BYTES, "{held} bytes held");
        }
    }
}

fn chosen<T: Copy>(from: &[T], number: u8) -> Option<T> {
    chosen_ref(from, number).copied()
}

fn chosen_ref<T>(from: &[T], number: u8) -> Option<&T> {
    from.get(usize::from(number) % from.len().max(1))
}
