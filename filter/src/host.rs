//! The Proxy-Wasm contexts: Envoy's callbacks in, stats out. No logic, and no call that the current callback does not
//! allow: the SDK panics on a status that it does not expect, and a panic here is a dead worker VM.

mod calls;
mod clock;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, LogLevel, MapType};

use crate::access_log;
use crate::config::Config;
use crate::exchange::{Exchange, TerminatedBy, Termination};
use crate::recorder::record_build;
use crate::running::BEAT_NS;
use crate::worker::Worker;
use calls::EnvoyHost;
use clock::monotonic_ns;

/// Bytes copied out of Envoy's buffer at a time. Linear memory never shrinks, so a filter in front of this one that
/// buffers whole bodies must not make us copy one.
const READ_BYTES: usize = 64 * 1024;
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Set by the build; see the Makefile.
const COMMIT: &str = match option_env!("INFERTALLY_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
const BUILD_REF: &str = match option_env!("INFERTALLY_BUILD_REF") {
    Some(build_ref) => build_ref,
    None => "unknown",
};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root { worker: Rc::new(RefCell::new(Worker::new(Config::default()))) }));
}}

/// One a worker and plugin configuration.
struct Root {
    worker: Rc<RefCell<Worker>>,
}

/// One an exchange. `exchange` is `None` where nothing is measured.
struct Stream {
    worker: Rc<RefCell<Worker>>,
    exchange: Option<Exchange>,
}

// === impl Root ===

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _configuration_size: usize) -> bool {
        let (config, mistakes) = Config::parse(&self.get_plugin_configuration().unwrap_or_default());
        for mistake in &mistakes {
            log::warn!("infertally: {mistake}; going on without it");
        }
        self.worker
            .borrow_mut()
            .configure(config, mistakes.len(), &mut EnvoyHost);
        record_build(VERSION, COMMIT, BUILD_REF, &mut EnvoyHost);
        self.set_tick_period(Duration::from_nanos(BEAT_NS));
        // Never false: Envoy would refuse the whole listener.
        true
    }

    fn on_tick(&mut self) {
        self.worker
            .borrow_mut()
            .beat(monotonic_ns(), calls::memory_bytes(), &mut EnvoyHost);
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

impl Context for Stream {}

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
            // After a redirect that Envoy has followed, what the client asked for stands there.
            if let Some(api) = route(":path").or_else(|| route("x-envoy-original-url")) {
                let target = worker.target_model_header().and_then(header);
                self.exchange = Some(Exchange::new(api, monotonic_ns(), target));
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
            self.settle();
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
            self.settle();
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
        let Some(mut exchange) = self.exchange.take() else {
            return;
        };
        let ending = if exchange.is_response_complete() {
            Termination {
                status: None,
                side: TerminatedBy::Server,
            }
        } else {
            calls::ending()
        };
        let mut worker = self.worker.borrow_mut();
        let record = worker.end(&mut exchange, monotonic_ns(), ending, &mut EnvoyHost);
        for (name, value) in record
            .iter()
            .filter(|_| worker.logs_access())
            .flat_map(access_log::fields)
        {
            calls::set_filter_state(name, &value);
        }
    }
}

impl Stream {
    fn request_end(&mut self) {
        if let Some(exchange) = &mut self.exchange {
            exchange.request_end();
            self.settle();
        }
    }

    fn settle(&mut self) {
        if let Some(exchange) = self.exchange.as_mut().filter(|exchange| exchange.label.is_none()) {
            self.worker
                .borrow_mut()
                .settle(exchange, monotonic_ns(), &mut EnvoyHost);
        }
    }
}

/// Hands over the bytes of this callback, a piece at a time.
fn read(buffer: BufferType, size: usize, mut feed: impl FnMut(&[u8])) {
    for start in (0..size).step_by(READ_BYTES) {
        match hostcalls::get_buffer(buffer, start, READ_BYTES.min(size - start)) {
            Ok(Some(bytes)) => feed(&bytes),
            Ok(None) | Err(_) => return,
        }
    }
}
