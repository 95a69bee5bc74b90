//! What all exchanges of one worker share, and the one place where an exchange gets its labels: configuration,
//! admission, the running gauge and the recorder, joined without knowing the host.

use crate::admission::Admission;
use crate::config::Config;
use crate::exchange::{Exchange, ExchangeSummary, RequestedModel, TerminatedBy, Termination, is_success};
use crate::labels::ModelLabel;
use crate::metrics::MetricId;
use crate::record::{ModelPair, Record};
use crate::recorder::Recorder;
use crate::response::{BodyState, JsonState, Usage};
use crate::route::Api;
use crate::running::Running;
use crate::shared::{SharedData, StatSink};

const NANOSECONDS_PER_MICROSECOND: u64 = 1_000;

/// The state of a worker.
#[derive(Debug)]
pub struct Worker {
    config: Config,
    admission: Admission,
    running: Running,
    recorder: Recorder,
}

// === impl Worker ===

impl Worker {
    /// A worker that has seen nothing yet.
    pub fn new(config: Config) -> Self {
        Self {
            admission: Admission::new(&config.models, config.max_models),
            config,
            running: Running::default(),
            recorder: Recorder::default(),
        }
    }

    /// Takes a new configuration with so many mistakes. Exchanges under way and series go on.
    pub fn configure(&mut self, config: Config, mistakes: usize, sink: &mut impl StatSink) {
        self.admission = Admission::new(&config.models, config.max_models);
        self.config = config;
        self.recorder.start(sink);
        self.recorder
            .set_gauge(MetricId::FilterConfigErrors, mistakes as u64, sink);
    }

    /// Whether the access log wants each record.
    pub fn logs_access(&self) -> bool {
        self.config.access_log
    }

    /// The API of a request that is measured.
    pub fn route(&self, method: &[u8], path: &[u8]) -> Option<Api> {
        self.config.routes.api(method, path)
    }

    /// The request header that names the serving model, if one is configured.
    pub fn target_model_header(&self) -> Option<&str> {
        self.config.target_model_header.as_deref()
    }

    /// Settles the exchange's `model_name` as soon as that can be done; the request counts as running from then on.
    ///
    /// A name that is admitted is settled at the end of the request, any other by the answer: a good one admits it.
    pub fn settle(&mut self, exchange: &mut Exchange, now_ns: u64, host: &mut (impl SharedData + StatSink)) {
        if exchange.label.is_some() {
            return;
        }
        let label = match (exchange.asked(), exchange.status()) {
            (RequestedModel::NotYet, _) | (RequestedModel::Nobody, None) => None,
            (RequestedModel::Model(name), None) => self.admission.find(name, host),
            (RequestedModel::Model(name), Some(status)) => Some(self.label(name, status, host)),
            (RequestedModel::Nobody, Some(status)) => {
                exchange.response_model().map(|name| self.label(&name, status, host))
            }
        };
        if let Some(label) = label {
            self.running.begin(&label, now_ns, host);
            exchange.label = Some(label);
        }
    }

    /// Ends an exchange and records it; one that goes on elsewhere is forgotten.
    pub fn end(
        &mut self,
        exchange: &mut Exchange,
        now_ns: u64,
        ending: Termination,
        host: &mut (impl SharedData + StatSink),
    ) -> Option<Record> {
        if ending.side == TerminatedBy::Redirect {
            if let Some(label) = exchange.label.take() {
                self.running.end(&label, now_ns, host);
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
        } = exchange.end(now_ns, ending);
        let status = exchange.status().unwrap_or(0);
        let model = match exchange.label.take() {
            Some(label) => {
                self.running.end(&label, now_ns, host);
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
            is_stream: matches!(facts.reading, BodyState::Stream(_)),
            invalid_request: exchange.request().broken,
            invalid_response: match facts.reading {
                BodyState::Json(JsonState::Broken) => true,
                BodyState::Json(JsonState::Open) => exchange.is_response_complete() && response_bytes > 0,
                BodyState::Stream(stream) => stream.broken,
                BodyState::Json(JsonState::Whole) | BodyState::Encoded | BodyState::Unreadable => false,
            },
            // A good answer admits every name that there is a place for.
            label_overflow: is_success(status) && (model == other || target == other),
            labels: ModelPair { model, target },
        };
        self.recorder.record(&record, host);
        Some(record)
    }

    /// Once a heartbeat. `memory_bytes` is what this worker's VM has taken of its host.
    pub fn beat(&mut self, now_ns: u64, memory_bytes: u64, host: &mut (impl SharedData + StatSink)) {
        self.running.beat(now_ns, host);
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
