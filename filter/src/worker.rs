//! The state of one worker's VM: configuration, label admission, the gauge of requests in flight and the recorder.
//!
//! It is the only place that resolves an exchange's model labels. It does not know the host: shared data and stats are
//! passed in as traits.

use crate::access_log;
use crate::admission::Admission;
use crate::config::Config;
use crate::exchange::{Exchange, ExchangeSummary, RequestedModel, TerminatedBy, Termination, is_success};
use crate::forced_usage::ForcedUsage;
use crate::labels::ModelLabel;
use crate::metrics::MetricId;
use crate::record::{ModelPair, Record};
use crate::recorder::Recorder;
use crate::response::{BodyState, JsonState, Usage};
use crate::route::Api;
use crate::running::Running;
use crate::shared::{SharedData, StatSink};

pub use crate::recorder::BuildInfo;
pub use crate::running::HEARTBEAT_NS;

const NANOSECONDS_PER_MICROSECOND: u64 = 1_000;

/// One per VM.
#[derive(Debug)]
pub struct Worker {
    config: Config,
    admission: Admission,
    running: Running,
    recorder: Recorder,
    forced_usage: ForcedUsage,
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
        }
    }

    /// Applies a new configuration and reports its number of errors. Exchanges in flight and series are kept.
    pub fn configure(&mut self, config: Config, errors: usize, sink: &mut impl StatSink) {
        self.admission = Admission::new(&config.models, config.max_models);
        self.config = config;
        self.recorder.define_zeros(sink);
        self.recorder
            .set_gauge(MetricId::FilterConfigErrors, errors as u64, sink);
    }

    /// The fields to print in the access log: none unless the configuration enables them.
    pub fn access_log_fields(&self, record: &Record) -> Vec<(&'static str, String)> {
        if self.config.access_log {
            access_log::fields(record)
        } else {
            Vec::new()
        }
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
    pub fn resolve_label(&mut self, exchange: &mut Exchange, now_ns: u64, host: &mut (impl SharedData + StatSink)) {
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
            self.running.start(&label, now_ns, host);
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
        if termination.by == TerminatedBy::Redirect {
            if let Some(label) = exchange.label.take() {
                self.running.finish(&label, now_ns, host);
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
                self.running.finish(&label, now_ns, host);
                label
            }
            None => match exchange.request().model.as_ref().or(facts.model.as_ref()) {
                Some(name) => self.label(name, status, host),
                None => ModelLabel::unknown(),
            },
        };
        let target = match exchange.target().or(facts.model.as_deref()) {
            Some(name) => self.label(name, status, host),
            None => model.clone(),
        };
        // A request that can't be read may have asked for usage.
        let is_usage_unrequested = is_usage_unrequested && !exchange.request().malformed;
        let usage_source = usage_source.map(|source| match is_usage_unrequested {
            true => self.forced_usage.resolve(&target, source, outcome),
            false => source,
        });
        let other = ModelLabel::other();
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
            label_overflow: is_success(status) && (model == other || target == other),
            labels: ModelPair { model, target },
        };
        self.recorder.record(&record, host);
        Some(record)
    }

    /// Runs once every [`HEARTBEAT_NS`]. `memory_bytes` is the size of this VM's linear memory.
    pub fn heartbeat(&mut self, now_ns: u64, memory_bytes: u64, host: &mut (impl SharedData + StatSink)) {
        self.running.heartbeat(now_ns, host);
        self.recorder
            .set_gauge(MetricId::FilterAdmittedModels, self.admission.count(host) as u64, host);
        self.recorder.raise_gauge(MetricId::FilterMemory, memory_bytes, host);
    }

    /// The label of a name in an exchange with this status.
    fn label(&mut self, name: &[u8], status: u16, host: &mut impl SharedData) -> ModelLabel {
        let admitted = if is_success(status) {
            self.admission.admit(name, host)
        } else {
            self.admission.find(name, host)
        };
        admitted.unwrap_or_else(ModelLabel::other)
    }
}

#[cfg(test)]
mod tests;
