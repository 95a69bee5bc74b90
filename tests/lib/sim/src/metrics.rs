//! Owns the metrics of `/metrics` under vLLM's names: running and queued requests, and tokens.
//!
//! Every admitted request holds an [`InFlightGuard`] and is removed when it completes or the guard is dropped, so a client
//! that disconnects is counted too.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock;
use crate::inference_request::Finish;

/// The size of the simulated KV cache in tokens. Its gauge is the share taken by running requests.
const KV_TOKENS: u32 = 16_384;

#[derive(Debug)]
pub(crate) struct Metrics {
    model: String,
    max_lora: usize,
    slots: Option<Arc<Semaphore>>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    next: u64,
    running: Vec<ActiveRequest>,
    waiting: Vec<ActiveRequest>,
    prompt_tokens: u64,
    generation_tokens: u64,
    stopped: u64,
    limited: u64,
    aborted: u64,
}

/// A running or queued request.
#[derive(Debug, Clone)]
pub(crate) struct ActiveRequest {
    id: u64,
    pub(crate) adapter: Option<String>,
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
    pub(crate) finish: Finish,
}

/// Removes its request from the running ones on drop.
#[derive(Debug)]
pub(crate) struct InFlightGuard {
    metrics: Arc<Metrics>,
    id: u64,
    finished: bool,
    _slot: Option<OwnedSemaphorePermit>,
}

// === impl ActiveRequest ===

impl ActiveRequest {
    pub(crate) fn new(adapter: Option<String>, prompt_tokens: u64, completion_tokens: u64, finish: Finish) -> Self {
        Self {
            id: 0,
            adapter,
            prompt_tokens,
            completion_tokens,
            finish,
        }
    }
}

// === impl Metrics ===

impl Metrics {
    pub(crate) fn new(model: &str, max_lora: usize, max_running: Option<usize>) -> Self {
        let slots = max_running.map(|limit| Arc::new(Semaphore::new(limit)));
        Self {
            model: model.to_owned(),
            max_lora,
            slots,
            counts: Mutex::default(),
        }
    }

    /// Counts a request as queued until there is a slot for it, then as running.
    pub(crate) async fn admit(self: &Arc<Self>, mut request: ActiveRequest) -> InFlightGuard {
        {
            let mut counts = self.lock();
            counts.next = counts.next.wrapping_add(1);
            request.id = counts.next;
            counts.waiting.push(request.clone());
        }
        // A drop from here on removes the request, even while it is queued.
        let mut guard = InFlightGuard {
            metrics: Arc::clone(self),
            id: request.id,
            finished: false,
            _slot: None,
        };
        if let Some(slots) = &self.slots {
            guard._slot = Arc::clone(slots).acquire_owned().await.ok();
        }
        let mut counts = self.lock();
        counts.waiting.retain(|waiting| waiting.id != request.id);
        counts.prompt_tokens = counts.prompt_tokens.saturating_add(request.prompt_tokens);
        counts.running.push(request);
        drop(counts);
        guard
    }

    /// The text of `/metrics`.
    pub(crate) fn render(&self) -> String {
        let counts = self.lock();
        let model = Value::from(self.model.as_str());
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, series: &[(String, String)]| {
            // Writing into a string does not fail.
            let _ = writeln!(text, "# HELP vllm:{name} {help}\n# TYPE vllm:{name} {kind}");
            for (labels, value) in series {
                let _ = writeln!(text, "vllm:{name}{{{labels}}} {value}");
            }
        };
        let base = format!(r#"engine="0",model_name={model}"#);
        let one = |value: f64| [(base.clone(), float(value))];
        let held = counts
            .running
            .iter()
            .map(|request| request.prompt_tokens.saturating_add(request.completion_tokens));
        let kv = (as_float(held.fold(0, u64::saturating_add)) / f64::from(KV_TOKENS)).min(1.0);
        let (running, waiting) = (as_float(length(&counts.running)), as_float(length(&counts.waiting)));
        family(
            "num_requests_running",
            "gauge",
            "Number of requests in model execution batches.",
            &one(running),
        );
        family(
            "num_requests_waiting",
            "gauge",
            "Number of requests waiting to be processed.",
            &one(waiting),
        );
        family(
            "kv_cache_usage_perc",
            "gauge",
            "KV-cache usage. 1 means 100 percent usage.",
            &one(kv),
        );
        let tokens = one(as_float(counts.prompt_tokens));
        family(
            "prompt_tokens_total",
            "counter",
            "Number of prefill tokens processed.",
            &tokens,
        );
        let tokens = one(as_float(counts.generation_tokens));
        family(
            "generation_tokens_total",
            "counter",
            "Number of generation tokens processed.",
            &tokens,
        );
        let reason = |reason: &str, count: u64| {
            (
                format!(r#"engine="0",finished_reason="{reason}",model_name={model}"#),
                float(as_float(count)),
            )
        };
        let reasons = [
            reason("stop", counts.stopped),
            reason("length", counts.limited),
            reason("abort", counts.aborted),
        ];
        family(
            "request_success_total",
            "counter",
            "Count of successfully processed requests.",
            &reasons,
        );
        let lora = format!(
            r#"max_lora="{}",running_lora_adapters={},waiting_lora_adapters={}"#,
            self.max_lora,
            adapters(&counts.running),
            adapters(&counts.waiting)
        );
        let now = format!("{:e}", clock::since_epoch().as_secs_f64()).replace('e', "e+0");
        family(
            "lora_requests_info",
            "gauge",
            "Running stats on lora requests.",
            &[(lora, now)],
        );
        text
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names of the adapters in use as a quoted, comma-separated list.
fn adapters(requests: &[ActiveRequest]) -> Value {
    let names: BTreeSet<&str> = requests
        .iter()
        .filter_map(|request| request.adapter.as_deref())
        .collect();
    names.into_iter().collect::<Vec<_>>().join(",").into()
}

/// Python prints floats with a decimal point.
fn float(value: f64) -> String {
    format!("{value:?}")
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
fn as_float(count: u64) -> f64 {
    count as f64
}

fn length(requests: &[ActiveRequest]) -> u64 {
    u64::try_from(requests.len()).unwrap_or(u64::MAX)
}

// === impl InFlightGuard ===

impl InFlightGuard {
    /// Counts the request as successful.
    pub(crate) fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let mut counts = self.metrics.lock();
        counts.waiting.retain(|request| request.id != self.id);
        let Some(index) = counts.running.iter().position(|request| request.id == self.id) else {
            return;
        };
        let request = counts.running.swap_remove(index);
        if !self.finished {
            counts.aborted = counts.aborted.saturating_add(1);
            return;
        }
        counts.generation_tokens = counts.generation_tokens.saturating_add(request.completion_tokens);
        match request.finish {
            Finish::Stop => counts.stopped = counts.stopped.saturating_add(1),
            Finish::Length => counts.limited = counts.limited.saturating_add(1),
        }
    }
}
