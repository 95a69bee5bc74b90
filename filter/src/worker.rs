//! The state of one worker's VM: configuration, label admission, the gauge of requests in flight and the recorder.
//!
//! It is the only place that resolves an exchange's model labels, and it decides when what exchanges add is published: at
//! the end of an exchange while the worker is quiet, with the next tick under load, and when the VM ends.
//! It does not know the host: shared data and stats are passed in as traits.

use crate::access_log;
use crate::admission::Admission;
use crate::config::Config;
use crate::contribution::Contribution;
use crate::exchange::{Exchange, ExchangeSummary, RequestedModel, TerminatedBy, Termination, is_success};
use crate::forced_usage::ForcedUsage;
use crate::labels::ModelLabel;
use crate::metrics::MetricId;
use crate::names::ModelId;
use crate::record::{ModelPair, Record};
use crate::recorder::Recorder;
use crate::response::{BodyState, JsonState, Usage};
use crate::route::Api;
use crate::running::Running;
use crate::shared::{SharedData, StatSink};

pub use crate::lease::HEARTBEAT_NS;
pub use crate::recorder::BuildInfo;

/// Interval between two ticks, in nanoseconds: the longest time that anything waits to be published.
pub const TICK_NS: u64 = 100_000_000;
/// The end of an exchange publishes if nothing was published for this long. Under load the tick does it, so that the cost
/// of publishing does not grow with the number of exchanges.
const QUIET_NS: u64 = TICK_NS / 2;

const NANOSECONDS_PER_MICROSECOND: u64 = 1_000;

/// One per VM.
#[derive(Debug)]
pub struct Worker {
    config: Config,
    admission: Admission,
    running: Running,
    recorder: Recorder,
    forced_usage: ForcedUsage,
    admitted: Contribution,
    config_errors: Contribution,
    /// Errors in the configuration.
    errors: u64,
    /// When something was last published.
    published_ns: Option<u64>,
    /// When the next heartbeat is due.
    next_heartbeat_ns: u64,
    /// No tick follows.
    has_ended: bool,
    /// Something was recorded, or a request started or finished, since the last publishing.
    is_dirty: bool,
}

// === impl Worker ===

impl Worker {
    /// A worker without exchanges or series.
    pub fn new(config: Config) -> Self {
        Self {
            admission: Admission::new(&config.models, config.max_models),
            config,
            running: Running::default(),
            recorder: Recorder::default(),
            forced_usage: ForcedUsage::default(),
            admitted: Contribution::new("infertally.admitted".to_owned(), MetricId::FilterAdmittedModels),
            config_errors: Contribution::new("infertally.errors".to_owned(), MetricId::FilterConfigErrors),
            errors: 0,
            published_ns: None,
            next_heartbeat_ns: 0,
            has_ended: false,
            is_dirty: false,
        }
    }

    /// Applies a new configuration with this number of errors. Exchanges in flight and series are kept, and what they have
    /// added is published. `identity` is the same in all VMs that have this configuration.
    pub fn configure(
        &mut self,
        config: Config,
        errors: usize,
        identity: &[&[u8]],
        now_ns: u64,
        host: &mut (impl SharedData + StatSink),
    ) {
        self.admission.configure(&config.models, config.max_models);
        self.config = config;
        self.config_errors.release(host);
        self.config_errors = Contribution::new(
            format!("infertally.errors.{:016x}", fingerprint(identity)),
            MetricId::FilterConfigErrors,
        );
        self.errors = errors as u64;
        self.admitted.define(host);
        self.config_errors.define(host);
        // The next tick contributes, not this callback: Envoy first configures a VM that it discards without a word.
        self.next_heartbeat_ns = 0;
        self.recorder.add_zeros();
        self.publish(now_ns, host);
    }

    /// The fields to print in the access log: none unless the configuration enables them.
    pub fn access_log_fields(&self, record: &Record) -> Vec<(&'static str, String)> {
        if self.config.access_log {
            access_log::fields(record)
        } else {
            Vec::new()
        }
    }

    /// The label value of a name that an exchange of this worker has resolved.
    pub fn label_value(&self, model: ModelId) -> ModelLabel {
        self.admission.label(model)
    }

    /// The API of a request; `None` if it is not measured.
    pub fn route(&self, method: &[u8], path: &[u8]) -> Option<Api> {
        self.config.routes.api(method, path)
    }

    /// The request header that names the serving model, if one is configured.
    pub fn target_model_header(&self) -> Option<&str> {
        self.config.target_model_header.as_deref()
    }

    /// Resolves the exchange's `model_name` as early as possible; from then on the request counts as running.
    ///
    /// An admitted name resolves at the end of the request, any other name at the response: a 2xx response admits it.
    pub fn resolve_label(&mut self, exchange: &mut Exchange, host: &mut impl SharedData) {
        if exchange.label.is_some() {
            return;
        }
        let label = match (exchange.requested_model(), exchange.status()) {
            (RequestedModel::Pending, _) | (RequestedModel::Unnamed, None) => None,
            (RequestedModel::Named(name), None) => self.admission.find(name, host),
            (RequestedModel::Named(name), Some(status)) => Some(self.label(name, status, host)),
            (RequestedModel::Unnamed, Some(status)) => {
                exchange.response_model().map(|name| self.label(&name, status, host))
            }
        };
        if let Some(label) = label {
            let Self { running, admission, .. } = self;
            running.start(label, || admission.label(label));
            self.is_dirty = true;
            exchange.label = Some(label);
        }
    }

    /// Ends an exchange and records it. Returns `None` if it continues after an internal redirect: then the new stream
    /// records it.
    pub fn finish(
        &mut self,
        exchange: &mut Exchange,
        now_ns: u64,
        termination: Termination,
        host: &mut (impl SharedData + StatSink),
    ) -> Option<Record> {
        self.is_dirty = true;
        if termination.by == TerminatedBy::Redirect {
            if let Some(label) = exchange.label.take() {
                self.running.finish(label);
            }
            return None;
        }
        let ExchangeSummary {
            outcome,
            duration_ns,
            request_bytes,
            response_bytes,
            facts,
            usage_source,
            is_usage_unrequested,
        } = exchange.finish(now_ns, termination);
        let status = exchange.status().unwrap_or(0);
        let model = match exchange.label.take() {
            Some(label) => {
                self.running.finish(label);
                label
            }
            None => match exchange.request().model.as_ref().or(facts.model.as_ref()) {
                Some(name) => self.label(name, status, host),
                None => ModelId::UNKNOWN,
            },
        };
        let (target, is_over_limit) = match (exchange.target(), &facts.model) {
            // The header is the client's word: its value is looked up and never admitted.
            (Some(name), _) => (self.admission.find(name, host).unwrap_or(ModelId::OTHER), false),
            (None, Some(name)) => {
                let target = self.label(name, status, host);
                (target, target == ModelId::OTHER)
            }
            (None, None) => (model, false),
        };
        let is_over_limit = is_over_limit || model == ModelId::OTHER;
        let by_client = exchange.target().is_some();
        let (model, target, pair, is_over_limit) = match self.admission.admit_pair(model, target, by_client, host) {
            Some(pair) => (model, target, pair, is_over_limit),
            None => {
                let other = ModelId::OTHER;
                (other, other, self.admission.own_pair(other), true)
            }
        };
        // A request that can't be read may have included usage.
        let is_usage_unrequested = is_usage_unrequested && !exchange.request().malformed;
        let usage_source = usage_source.map(|source| match is_usage_unrequested {
            true => self.forced_usage.resolve(target, source, outcome),
            false => source,
        });
        let record = Record {
            outcome,
            duration_us: (duration_ns + NANOSECONDS_PER_MICROSECOND / 2) / NANOSECONDS_PER_MICROSECOND,
            request_bytes,
            response_bytes,
            usage: Usage {
                output: facts.usage.output.or(facts.counted_output),
                ..facts.usage
            },
            usage_source,
            finish_reasons: facts.finish_reasons,
            is_stream: matches!(facts.body, BodyState::Stream(_)),
            invalid_request: exchange.request().malformed,
            invalid_response: match facts.body {
                BodyState::Json(JsonState::Malformed) => true,
                BodyState::Json(JsonState::Incomplete) => exchange.is_response_complete() && response_bytes > 0,
                BodyState::Stream(stream) => stream.malformed,
                BodyState::Json(JsonState::Complete | JsonState::Failed)
                | BodyState::Encoded
                | BodyState::Unsupported => false,
            },
            // A 2xx response admits every name below the limit.
            label_overflow: is_success(status) && is_over_limit,
            labels: ModelPair {
                model: self.admission.label(model),
                target: self.admission.label(target),
            },
            pair,
        };
        self.recorder.record(&record);
        let is_quiet = |published_ns| now_ns.saturating_sub(published_ns) >= QUIET_NS;
        if self.has_ended || self.published_ns.is_none_or(is_quiet) {
            self.publish(now_ns, host);
        }
        Some(record)
    }

    /// Runs once every [`TICK_NS`]. `memory_bytes` is the size of this VM's linear memory.
    pub fn tick(&mut self, now_ns: u64, memory_bytes: u64, host: &mut (impl SharedData + StatSink)) {
        if self.is_dirty {
            self.publish(now_ns, host);
        }
        if now_ns >= self.next_heartbeat_ns {
            self.next_heartbeat_ns = now_ns + HEARTBEAT_NS;
            self.running.heartbeat(now_ns, host);
            self.contribute(now_ns, host);
            self.recorder.raise_memory(memory_bytes, host);
        }
    }

    /// Runs when the VM or its plugin ends: publishes everything and takes back what this VM holds.
    pub fn end(&mut self, now_ns: u64, host: &mut (impl SharedData + StatSink)) {
        self.publish(now_ns, host);
        self.running.release(host);
        self.admitted.release(host);
        self.config_errors.release(host);
        self.has_ended = true;
    }

    /// Hands everything that exchanges have added to Envoy.
    fn publish(&mut self, now_ns: u64, host: &mut (impl SharedData + StatSink)) {
        self.running.publish(now_ns, host);
        self.recorder.publish(host);
        self.published_ns = Some(now_ns);
        self.is_dirty = false;
    }

    fn contribute(&mut self, now_ns: u64, host: &mut (impl SharedData + StatSink)) {
        let admitted = self.admission.count(host) as u64;
        self.admitted.hold(admitted, now_ns, host);
        self.config_errors.hold(self.errors, now_ns, host);
    }

    /// The name in an exchange with this status, as a label.
    fn label(&mut self, name: &[u8], status: u16, host: &mut impl SharedData) -> ModelId {
        let admitted = if is_success(status) {
            self.admission.admit(name, host)
        } else {
            self.admission.find(name, host)
        };
        admitted.unwrap_or(ModelId::OTHER)
    }
}

/// FNV-1a over the parts, each ended by a zero byte.
fn fingerprint(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter().chain(&[0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
