//! A simulated Envoy that runs a program of events against the filter, on several workers that share one process.

use infertally_filter::config::Config;
use infertally_filter::exchange::{Exchange, MAX_INFLATING_BYTES, TerminatedBy, Termination};
use infertally_filter::fakes::FakeHost;
use infertally_filter::record::Record;
use infertally_filter::worker::{HEARTBEAT_NS, Worker};

use crate::choices::Choices;
use crate::heap;
use crate::program::{CONFIGS, Event, PATHS, STATUSES, STREAMS, TARGETS, WORKERS};
use crate::request::CODINGS;
use crate::response::CONTENT_TYPES;
use crate::stats::{Finished, check_running};

/// Flag in the status byte of [`Event::Log`]: Envoy follows a redirect internally.
const REDIRECT: u8 = 0x80;
/// The memory that a VM reports, in bytes.
const MEMORY: u64 = 1 << 20;
/// Longer than the time without a heartbeat after which a VM counts as dead.
const DEAD_NS: u64 = 20 * HEARTBEAT_NS;
/// The longest [`Event::Pass`], as a power of two in nanoseconds: 17 s.
const MAX_BITS: u8 = 34;

#[derive(Debug)]
pub(crate) struct Envoy {
    pub(crate) host: FakeHost,
    vms: Vec<Vm>,
    streams: Vec<Option<Stream>>,
    now_ns: u64,
    max_chunk: usize,
    pub(crate) finished: Vec<Finished>,
    /// The number of VMs so far.
    started: usize,
    /// `models` of all configurations.
    pub(crate) models: Vec<String>,
    /// The largest `maxModels` of all configurations.
    pub(crate) max_models: usize,
}

#[derive(Debug)]
struct Vm {
    number: usize,
    worker: Worker,
    /// What it has recorded and not published.
    unpublished: Vec<Record>,
}

#[derive(Debug)]
struct Stream {
    worker: u8,
    exchange: Exchange,
    request_bytes: u64,
    response_bytes: u64,
    started_ns: u64,
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    Request,
    Response,
}

// === impl Envoy ===

impl Envoy {
    /// Runs the program, then ends every exchange.
    pub(crate) fn run(mut choices: Choices<'_>, config: u8, max_chunk: usize) -> Self {
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
            let vm = envoy.start_vm(config);
            envoy.vms.push(vm);
        }
        while let Some(event) = Event::read(&mut choices) {
            envoy.step(event);
        }
        envoy.expire_dead_workers();
        check_running(&envoy.host.stats(), envoy.labels());
        for stream in 0..STREAMS {
            envoy.step(Event::Log {
                stream,
                status: 0,
                client_disconnects: false,
            });
        }
        for worker in 0..WORKERS {
            envoy.step(Event::Beat { worker });
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
                    client_disconnects: true,
                });
                self.start_exchange(stream, worker, path, target);
                if end {
                    self.request_end(stream);
                }
            }
            Event::RequestBody { stream, end, bytes } => self.body(Direction::Request, stream, bytes, end),
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
            Event::ResponseBody { stream, end, bytes } => self.body(Direction::Response, stream, bytes, end),
            Event::ResponseTrailers { stream } => {
                let now_ns = self.now_ns;
                if let Some(stream) = self.stream(stream) {
                    stream.exchange.response_end(now_ns);
                }
            }
            Event::Log {
                stream,
                status,
                client_disconnects,
            } => self.log(stream, status, client_disconnects),
            Event::Beat { worker } => {
                if let Some(vm) = self.vms.get_mut(usize::from(worker)) {
                    vm.worker.tick(self.now_ns, MEMORY, &mut self.host);
                }
                self.published(worker);
                if let Some(vm) = self.vms.get(usize::from(worker)) {
                    assert_eq!(vm.unpublished, [], "a tick publishes everything");
                }
            }
            Event::Pass { bits } => self.now_ns += 1 << (bits % (MAX_BITS + 1)),
            Event::Configure { worker, config } => {
                let config = self.config(config);
                if let Some(vm) = self.vms.get_mut(usize::from(worker)) {
                    vm.worker.configure(config, 0, &[], self.now_ns, &mut self.host);
                }
                self.published(worker);
            }
            // What the VM has not published is lost with it.
            Event::Die { worker } => {
                for stream in &mut self.streams {
                    stream.take_if(|stream| stream.worker == worker);
                }
                let vm = self.start_vm(0);
                if let Some(dead) = self.vms.get_mut(usize::from(worker)) {
                    *dead = vm;
                }
            }
        }
    }

    fn start_vm(&mut self, config: u8) -> Vm {
        self.started += 1;
        Vm {
            number: self.started,
            worker: Worker::new(self.config(config)),
            unpublished: Vec::new(),
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

    fn start_exchange(&mut self, stream: u8, number: u8, path: u8, target: u8) {
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
                started_ns: self.now_ns,
            });
        }
    }

    fn request_end(&mut self, stream: u8) {
        if let Some(stream) = self.stream(stream) {
            stream.exchange.request_end();
        }
        self.settle(stream);
    }

    /// One chunk, in callbacks of at most `max_chunk` bytes; the last one ends the stream if `end`.
    fn body(&mut self, direction: Direction, number: u8, bytes: &[u8], end: bool) {
        let now_ns = self.now_ns;
        let chunks = bytes.chunks(self.max_chunk.max(1)).collect::<Vec<_>>();
        let chunks = if chunks.is_empty() { vec![bytes] } else { chunks };
        for (index, chunk) in chunks.iter().enumerate() {
            let Some(stream) = self.stream(number) else { return };
            stream.body(direction, chunk);
            let last = index + 1 == chunks.len();
            match direction {
                Direction::Request if last && end => self.request_end(number),
                Direction::Request => {}
                Direction::Response => {
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
            vm.worker.resolve_label(&mut stream.exchange, &mut self.host);
        }
    }

    fn log(&mut self, stream: u8, status: u8, client_disconnects: bool) {
        let Some(mut stream) = self.streams.get_mut(usize::from(stream)).and_then(Option::take) else {
            return;
        };
        let (code, redirects) = (status & !REDIRECT, status & REDIRECT != 0);
        let termination = if stream.exchange.is_response_complete() {
            Termination {
                status: None,
                by: TerminatedBy::Upstream,
            }
        } else {
            Termination {
                status: chosen(&STATUSES, code).filter(|status| *status != 0),
                by: match (redirects, client_disconnects) {
                    (true, _) => TerminatedBy::Redirect,
                    (false, true) => TerminatedBy::Client,
                    (false, false) => TerminatedBy::Upstream,
                },
            }
        };
        if let Some(vm) = self.vms.get_mut(usize::from(stream.worker)) {
            let record = vm
                .worker
                .finish(&mut stream.exchange, self.now_ns, termination, &mut self.host);
            assert_eq!(record.is_none(), termination.by == TerminatedBy::Redirect);
            let Some(record) = record else { return };
            assert_eq!(record.request_bytes, stream.request_bytes);
            assert_eq!(record.response_bytes, stream.response_bytes);
            let elapsed_us = (self.now_ns - stream.started_ns).div_ceil(1_000);
            assert!(
                record.duration_us <= elapsed_us,
                "{} us of {elapsed_us}",
                record.duration_us
            );
            vm.unpublished.push(record);
        }
        self.published(stream.worker);
    }

    /// Holds what the worker has published against what it had to publish: all of it, or nothing.
    fn published(&mut self, worker: u8) {
        let Some(vm) = self.vms.get_mut(usize::from(worker)) else {
            return;
        };
        if vm.unpublished.is_empty() {
            return;
        }
        let stats = self.host.stats();
        let totals = stats
            .iter()
            .filter(|(name, _)| name.ends_with("inference_model_request_total"));
        let published = totals.map(|(_, value)| *value).sum::<i64>() - self.finished.len() as i64;
        if published > 0 {
            assert_eq!(published, vm.unpublished.len() as i64, "all of it, or nothing");
            let number = vm.number;
            let records = vm.unpublished.drain(..);
            self.finished
                .extend(records.map(|record| Finished { vm: number, record }));
        }
    }

    /// Lets the workers detect dead ones, and whether they were taken for dead themselves.
    fn expire_dead_workers(&mut self) {
        self.now_ns += DEAD_NS;
        // A heartbeat examines one slot.
        let slots = self.host.shared().keys().filter(|key| key.contains("running")).count();
        for _ in 0..=slots + 1 {
            self.now_ns += HEARTBEAT_NS;
            for worker in 0..WORKERS {
                self.step(Event::Beat { worker });
            }
        }
    }

    /// The model labels of the running exchanges.
    fn labels(&self) -> impl Iterator<Item = String> {
        self.streams.iter().flatten().filter_map(|stream| {
            let vm = self.vms.get(usize::from(stream.worker))?;
            let label = vm.worker.label_value(stream.exchange.label?);
            Some(label.as_str().to_owned())
        })
    }
}

// === impl Stream ===

impl Stream {
    fn body(&mut self, direction: Direction, chunk: &[u8]) {
        let exchange = &mut self.exchange;
        let (wanted, bytes) = match direction {
            Direction::Request => (exchange.request_body(chunk.len()), &mut self.request_bytes),
            Direction::Response => (exchange.response_body(chunk.len()), &mut self.response_bytes),
        };
        *bytes += chunk.len() as u64;
        if wanted {
            let held = heap::peak(|| match direction {
                Direction::Request => exchange.read_request(chunk),
                Direction::Response => exchange.read_response(chunk),
            });
            assert!(held <= MAX_INFLATING_BYTES, "{held} bytes held");
        }
    }
}

fn chosen<T: Copy>(list: &[T], number: u8) -> Option<T> {
    chosen_ref(list, number).copied()
}

fn chosen_ref<T>(list: &[T], number: u8) -> Option<&T> {
    list.get(usize::from(number) % list.len().max(1))
}
