//! [`ReadyLoads`], what the averages are computed from: the pods that are ready and have fresh metrics. A pod that drains
//! or is not ready yet receives no requests, so its idle queue must not hide the full ones of the others.

use std::time::Instant;

use super::state::{Pod, Pool};
use crate::engine::ServerLoad;

/// The loads of the pods that are ready and have fresh metrics.
#[derive(Debug)]
pub(super) struct ReadyLoads<'a> {
    loads: Vec<(&'a Pod, &'a ServerLoad)>,
    /// Waiting requests of a pod at which its saturation is 1.
    queue_limit: f64,
}

// === impl ReadyLoads ===

impl<'a> ReadyLoads<'a> {
    pub(super) fn new(pool: &'a Pool, now: Instant) -> Self {
        let stale_after = pool.settings.stale_after;
        let ready = pool.pods.iter().filter(|pod| pod.is_ready(now, stale_after));
        let loads = ready.filter_map(|pod| Some((&**pod, pod.scrapes.fresh(now, stale_after)?)));
        Self {
            loads: loads.collect(),
            queue_limit: pool.settings.queue_limit,
        }
    }

    /// Those of one role.
    pub(super) fn of_role(&self, role: &str) -> Self {
        let loads = self.loads.iter().copied();
        Self {
            loads: loads.filter(|(pod, _)| pod.role.as_deref() == Some(role)).collect(),
            queue_limit: self.queue_limit,
        }
    }

    /// The mean over the pods that report the value.
    pub(super) fn mean(&self, value: impl Fn(&ServerLoad) -> Option<f64>) -> Option<f64> {
        mean(&self.values(value))
    }

    /// The sample standard deviation; 0 for a single pod.
    pub(super) fn std_dev(&self, value: impl Fn(&ServerLoad) -> Option<f64>) -> Option<f64> {
        let values = self.values(value);
        let mean = mean(&values)?;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some((squares / (values.len() as f64 - 1.0).max(1.0)).sqrt())
    }

    /// The mean of the pods' saturations, 0 to 1. A pod's is the larger of its KV cache utilization and its queue divided by
    /// the limit; a value that it does not report does not count.
    pub(super) fn saturation(&self) -> Option<f64> {
        self.mean(|load| {
            let queue = load.waiting.map(|waiting| waiting / self.queue_limit);
            let parts = [queue, load.kv_cache].into_iter().flatten();
            Some(parts.reduce(f64::max)?.min(1.0))
        })
    }

    fn values(&self, value: impl Fn(&ServerLoad) -> Option<f64>) -> Vec<f64> {
        self.loads.iter().filter_map(|(_, load)| value(load)).collect()
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
