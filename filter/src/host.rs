//! The functions that Envoy calls, which pass its callbacks to [`Worker`] and [`Exchange`].
//!
//! Only what the filter needs is exported: Envoy does not enter the VM for a callback that does not exist. So there is no
//! `proxy_on_done`. It would come between `proxy_on_log` and `proxy_on_delete`, with nothing left to do.
//!
//! It contains no logic, and makes only host calls that the current callback allows.
#![allow(unsafe_code, reason = "the names of exported functions are global")]

mod abi;
mod calls;

use std::cell::RefCell;
use std::rc::Rc;

use crate::config::Config;
use crate::exchange::{Exchange, TerminatedBy, Termination};
use crate::streams::Streams;
use crate::worker::{BuildInfo, TICK_NS, Worker};
use abi::{Buffer, Headers, Level, monotonic_ns};
use calls::EnvoyHost;

/// The standard library's allocator, dlmalloc, is larger and slower.
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// Bytes copied from Envoy's buffer per host call. Linear memory never shrinks, so a body that an earlier filter has
/// buffered must not be copied in one piece.
const READ_BYTES: usize = 64 * 1024;

/// Envoy ends a stream within microseconds of its last byte, unless a filter in front of this one holds the response. If
/// that filter calls a service, it takes longer than this. Only then the client may have received another status, and it
/// is worth a host call.
const HELD_NS: u64 = 50_000;

const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;

/// What a callback of headers or a body returns: Envoy passes them on.
const CONTINUE: u32 = 0;

const BUILD: BuildInfo<'static> = BuildInfo {
    version: env!("CARGO_PKG_VERSION"),
    // Both are set by `scripts/build-wasm.sh`.
    commit: match option_env!("INFERTALLY_COMMIT") {
        Some(commit) => commit,
        None => "unknown",
    },
    build_ref: match option_env!("INFERTALLY_BUILD_REF") {
        Some(build_ref) => build_ref,
        None => "unknown",
    },
};

/// The contexts of this VM.
struct Vm {
    /// Root contexts, one for each plugin configuration.
    roots: Vec<(u32, Rc<RefCell<Worker>>)>,
    streams: Streams<Stream>,
}

/// An open stream. `exchange` is `None` while the request is not measured.
struct Stream {
    /// A stream may outlive its root context.
    worker: Rc<RefCell<Worker>>,
    exchange: Option<Box<Exchange>>,
}

thread_local! {
    static VM: RefCell<Vm> = const {
        RefCell::new(Vm {
            roots: Vec::new(),
            streams: Streams::new(),
        })
    };
}

#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    std::panic::set_hook(Box::new(|panic| abi::log(Level::Critical, &panic.to_string())));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, root: u32) {
    VM.with_borrow_mut(|vm| {
        if root == 0 {
            let worker = Worker::new(Config::default());
            vm.roots.push((context, Rc::new(RefCell::new(worker))));
        } else if let Some(worker) = vm.worker(root) {
            let worker = Rc::clone(worker);
            vm.streams.insert(context, Stream { worker, exchange: None });
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(root: u32, size: usize) -> bool {
    VM.with_borrow(|vm| {
        if let Some(worker) = vm.worker(root) {
            configure(&mut worker.borrow_mut(), size);
        }
    });
    // `false` would make Envoy reject the whole listener.
    true
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(root: u32) {
    VM.with_borrow(|vm| {
        if let Some(worker) = vm.worker(root) {
            let mut worker = worker.borrow_mut();
            worker.tick(monotonic_ns(), calls::memory_bytes(), &mut EnvoyHost);
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(stream: u32, _headers: u32, end_of_stream: bool) -> u32 {
    with_stream(stream, |stream| stream.request_headers(end_of_stream))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_body(stream: u32, size: usize, end_of_stream: bool) -> u32 {
    with_stream(stream, |stream| stream.request_body(size, end_of_stream))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_trailers(stream: u32, _trailers: u32) -> u32 {
    with_stream(stream, Stream::request_end)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(stream: u32, _headers: u32, end_of_stream: bool) -> u32 {
    with_stream(stream, |stream| stream.response_headers(end_of_stream))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_body(stream: u32, size: usize, end_of_stream: bool) -> u32 {
    with_stream(stream, |stream| stream.response_body(size, end_of_stream))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_trailers(stream: u32, _trailers: u32) -> u32 {
    with_stream(stream, |stream| {
        if let Some(exchange) = &mut stream.exchange {
            exchange.response_end(monotonic_ns());
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(stream: u32) {
    with_stream(stream, Stream::finish);
}

/// Comes after `proxy_on_log`, or without it: an HTTP/3 stream that ends well is logged too late for filters to see.
#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    VM.with_borrow_mut(|vm| {
        if let Some(mut stream) = vm.streams.remove(context) {
            stream.finish();
        } else if let Some(at) = vm.roots.iter().position(|(root, _)| *root == context) {
            let (_, worker) = vm.roots.swap_remove(at);
            worker.borrow_mut().end(monotonic_ns(), &mut EnvoyHost);
        }
    });
}

// === impl Vm ===

impl Vm {
    fn worker(&self, root: u32) -> Option<&Rc<RefCell<Worker>>> {
        let mut roots = self.roots.iter();
        roots.find_map(|(context, worker)| (*context == root).then_some(worker))
    }
}

// === impl Stream ===

impl Stream {
    fn request_headers(&mut self, end_of_stream: bool) {
        let header = |name: &str| abi::header(Headers::Request, name);
        #[cfg(feature = "trap")]
        if header("x-infertally-trap").is_some() {
            core::arch::wasm32::unreachable();
        }
        // Before the path: most requests that are not measured have another method, and cost this one call.
        if header(":method").as_deref() == Some(b"POST") {
            let worker = self.worker.borrow();
            let route = |name: &str| worker.route(b"POST", &header(name)?);
            // After an internal redirect this header holds the URL that the client requested.
            if let Some(api) = route(":path").or_else(|| route("x-envoy-original-url")) {
                let target = worker.target_model_header().and_then(header);
                let mut exchange = Exchange::new(api, monotonic_ns(), target.map(|name| name.to_vec()));
                exchange.request_encoding(header("content-encoding").as_deref());
                self.exchange = Some(Box::new(exchange));
            }
        }
        if end_of_stream {
            self.request_end();
        }
    }

    fn request_body(&mut self, size: usize, end_of_stream: bool) {
        if let Some(exchange) = &mut self.exchange {
            if exchange.request_body(size) {
                read(Buffer::RequestBody, size, |bytes| exchange.read_request(bytes));
            }
            if end_of_stream {
                self.request_end();
            }
        }
    }

    fn request_end(&mut self) {
        if let Some(exchange) = &mut self.exchange {
            exchange.request_end();
            self.resolve_label();
        }
    }

    fn response_headers(&mut self, end_of_stream: bool) {
        if let Some(exchange) = &mut self.exchange {
            let header = |name: &str| abi::header(Headers::Response, name);
            let status = header(":status").and_then(|status| std::str::from_utf8(&status).ok()?.parse().ok());
            if exchange.response_status(status.unwrap_or_default()) {
                let content_type = header("content-type");
                exchange.response_format(content_type.as_deref(), header("content-encoding").as_deref());
            }
            if end_of_stream {
                exchange.response_end(monotonic_ns());
            }
            self.resolve_label();
        }
    }

    fn response_body(&mut self, size: usize, end_of_stream: bool) {
        if let Some(exchange) = &mut self.exchange {
            if exchange.response_body(size) {
                read(Buffer::ResponseBody, size, |bytes| exchange.read_response(bytes));
            }
            if end_of_stream {
                exchange.response_end(monotonic_ns());
            }
            self.resolve_label();
        }
    }

    /// Records the exchange, once.
    fn finish(&mut self) {
        let Some(mut exchange) = self.exchange.take() else {
            return;
        };
        let now_ns = monotonic_ns();
        let termination = match exchange.response_ended_ns() {
            Some(ended_ns) => Termination {
                status: (now_ns.saturating_sub(ended_ns) > HELD_NS)
                    .then(calls::status)
                    .flatten(),
                by: TerminatedBy::Upstream,
            },
            None => calls::termination(),
        };
        let mut worker = self.worker.borrow_mut();
        let record = worker.finish(&mut exchange, now_ns, termination, &mut EnvoyHost);
        for (name, value) in record.iter().flat_map(|record| worker.access_log_fields(record)) {
            // Envoy calls this filter's `proxy_on_log` before its access loggers, so what is set here is still printed.
            abi::set_property(name, &value);
        }
    }

    fn resolve_label(&mut self) {
        if let Some(exchange) = self.exchange.as_mut().filter(|exchange| exchange.label.is_none()) {
            self.worker.borrow_mut().resolve_label(exchange, &mut EnvoyHost);
        }
    }
}

fn with_stream(stream: u32, callback: impl FnOnce(&mut Stream)) -> u32 {
    VM.with_borrow_mut(|vm| vm.streams.get_mut(stream).map(callback));
    CONTINUE
}

fn configure(worker: &mut Worker, size: usize) {
    let text = abi::buffer(Buffer::PluginConfiguration, 0, size);
    let (config, errors) = Config::parse(&text);
    for error in &errors {
        let line = format!("infertally: ignored invalid plugin configuration: {error}");
        abi::log(Level::Warn, &line);
    }
    // Envoy gives filters that agree in all three one root context.
    let identity = ["plugin_name", "plugin_root_id"].map(|name| abi::property(name).unwrap_or_default());
    worker.configure(
        config,
        errors.len(),
        &[&identity[0], &identity[1], &text],
        monotonic_ns(),
        &mut EnvoyHost,
    );
    BUILD.publish(&mut EnvoyHost);
    abi::set_tick_period((TICK_NS / NANOSECONDS_PER_MILLISECOND) as u32);
}

/// Feeds the new bytes of the current body callback, at most [`READ_BYTES`] at a time.
fn read(buffer: Buffer, size: usize, mut feed: impl FnMut(&[u8])) {
    for start in (0..size).step_by(READ_BYTES) {
        let bytes = abi::buffer(buffer, start, READ_BYTES.min(size - start));
        if bytes.is_empty() {
            return;
        }
        feed(&bytes);
    }
}
