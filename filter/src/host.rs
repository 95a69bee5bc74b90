//! The Proxy-Wasm contexts that pass Envoy's callbacks to [`Worker`] and [`Exchange`].
//!
//! It contains no logic, and makes only host calls that the current callback allows: the SDK panics on an unexpected
//! status, and a panic kills the worker's VM.

mod calls;
mod clock;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, LogLevel, MapType};

use crate::config::Config;
use crate::exchange::{Exchange, TerminatedBy, Termination};
use crate::worker::{BuildInfo, TICK_NS, Worker};
use calls::EnvoyHost;
use clock::monotonic_ns;

/// Bytes copied from Envoy's buffer per host call. Linear memory never shrinks, so a body that an earlier filter has
/// buffered must not be copied in one piece.
const READ_BYTES: usize = 64 * 1024;

/// Envoy ends a stream within microseconds of its last byte, unless a filter in front of this one holds the response. If
/// that filter calls a service, it takes longer than this. Only then the client may have received another status, and it
/// is worth a host call.
const HELD_NS: u64 = 50_000;

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

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root { worker: Rc::new(RefCell::new(Worker::new(Config::default()))) }));
}}

/// The root context: one per VM and plugin configuration.
struct Root {
    worker: Rc<RefCell<Worker>>,
}

/// The context of one Envoy stream. `exchange` is `None` while the request is not measured.
struct Stream {
    worker: Rc<RefCell<Worker>>,
    exchange: Option<Exchange>,
}

// === impl Root ===

impl Context for Root {
    fn on_done(&mut self) -> bool {
        self.worker.borrow_mut().end(monotonic_ns(), &mut EnvoyHost);
        true
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _configuration_size: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        let (config, errors) = Config::parse(&text);
        for error in &errors {
            log::warn!("infertally: ignored invalid plugin configuration: {error}");
        }
        // Envoy gives filters that agree in all three one root context.
        let identity = ["plugin_name", "plugin_root_id"].map(|name| calls::plugin_property(name).unwrap_or_default());
        self.worker.borrow_mut().configure(
            config,
            errors.len(),
            &[&identity[0], &identity[1], &text],
            monotonic_ns(),
            &mut EnvoyHost,
        );
        BUILD.publish(&mut EnvoyHost);
        self.set_tick_period(Duration::from_nanos(TICK_NS));
        // `false` would make Envoy reject the whole listener.
        true
    }

    fn on_tick(&mut self) {
        self.worker
            .borrow_mut()
            .tick(monotonic_ns(), calls::memory_bytes(), &mut EnvoyHost);
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream {
            worker: Rc::clone(&self.worker),
            exchange: None,
        }))
    }
}

// === impl Stream ===

impl Context for Stream {
    /// Comes after `on_log`, or instead of it: an HTTP/3 stream that ends well is logged too late for filters to see.
    fn on_done(&mut self) -> bool {
        self.finish();
        true
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _num_headers: usize, end_of_stream: bool) -> Action {
        let header = |name: &str| calls::header(MapType::HttpRequestHeaders, name);
        #[cfg(feature = "trap")]
        if header("x-infertally-trap").is_some() {
            core::arch::wasm32::unreachable();
        }
        let method = header(":method").unwrap_or_default();
        if method == b"POST" {
            let worker = self.worker.borrow();
            let route = |name: &str| worker.route(&method, &header(name)?);
            // After an internal redirect this header holds the URL that the client requested.
            if let Some(api) = route(":path").or_else(|| route("x-envoy-original-url")) {
                let target = worker.target_model_header().and_then(header);
                let mut exchange = Exchange::new(api, monotonic_ns(), target);
                exchange.request_encoding(header("content-encoding").as_deref());
                self.exchange = Some(exchange);
            }
        }
        if end_of_stream {
            self.request_end();
        }
        Action::Continue
    }

    fn on_http_request_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        if let Some(exchange) = &mut self.exchange {
            if exchange.request_body(body_size) {
                read(BufferType::HttpRequestBody, body_size, |bytes| {
                    exchange.read_request(bytes)
                });
            }
            if end_of_stream {
                self.request_end();
            }
        }
        Action::Continue
    }

    fn on_http_request_trailers(&mut self, _num_trailers: usize) -> Action {
        self.request_end();
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _num_headers: usize, end_of_stream: bool) -> Action {
        if let Some(exchange) = &mut self.exchange {
            let header = |name: &str| calls::header(MapType::HttpResponseHeaders, name);
            let status = header(":status").and_then(|status| std::str::from_utf8(&status).ok()?.parse().ok());
            exchange.response_headers(
                status.unwrap_or_default(),
                header("content-type").as_deref(),
                header("content-encoding").as_deref(),
            );
            if end_of_stream {
                exchange.response_end(monotonic_ns());
            }
            self.resolve_label();
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        if let Some(exchange) = &mut self.exchange {
            if exchange.response_body(body_size) {
                read(BufferType::HttpResponseBody, body_size, |bytes| {
                    exchange.read_response(bytes)
                });
            }
            if end_of_stream {
                exchange.response_end(monotonic_ns());
            }
            self.resolve_label();
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _num_trailers: usize) -> Action {
        if let Some(exchange) = &mut self.exchange {
            exchange.response_end(monotonic_ns());
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        self.finish();
    }
}

impl Stream {
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
            calls::set_filter_state(name, &value);
        }
    }

    fn request_end(&mut self) {
        if let Some(exchange) = &mut self.exchange {
            exchange.request_end();
            self.resolve_label();
        }
    }

    fn resolve_label(&mut self) {
        if let Some(exchange) = self.exchange.as_mut().filter(|exchange| exchange.label.is_none()) {
            self.worker.borrow_mut().resolve_label(exchange, &mut EnvoyHost);
        }
    }
}

/// Feeds the new bytes of the current body callback, at most [`READ_BYTES`] at a time.
fn read(buffer: BufferType, size: usize, mut feed: impl FnMut(&[u8])) {
    for start in (0..size).step_by(READ_BYTES) {
        match hostcalls::get_buffer(buffer, start, READ_BYTES.min(size - start)) {
            Ok(Some(bytes)) => feed(&bytes),
            Ok(None) | Err(_) => return,
        }
    }
}
