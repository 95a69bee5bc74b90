//! Computes the families of the table from a [`Pool`].

use std::sync::Arc;
use std::time::Instant;

use super::metrics;
use super::state::{Pod, PodState, Pool};
use crate::engine::{Adapters, ServerLoad};
use crate::exposition::{Family, Metric, SeriesLabels, Value};

/// Adapters of a pod and state that are named: more than a batch mixes. It bounds the series that a server's names can
/// create; the number of adapters includes those above it.
const MAX_NAMED_ADAPTERS: usize = 64;

/// The pods with fresh metrics.
type Loads<'a> = [(&'a Pod, &'a ServerLoad)];

// === impl Pool ===

impl Pool {
    /// All families, without those that have no series.
    pub fn families(&self, now: Instant) -> Vec<Family> {
        let loads = self.fresh_loads(now);
        let is_ready = |pod: &&Arc<Pod>| pod.is_ready(now, self.stale_after);
        let ready = self.pods.iter().filter(is_ready).count();
        with_series([
            self.average(metrics::AVERAGE_KV_CACHE, &loads, |load| load.kv_cache),
            self.average(metrics::AVERAGE_QUEUE, &loads, |load| load.waiting),
            self.per_load(metrics::POD_QUEUE, &loads, |load| load.waiting),
            metrics::READY_PODS.family([(self.labels(), count(ready))]),
            self.average(metrics::AVERAGE_RUNNING, &loads, |load| load.running),
            self.per_load(metrics::POD_RUNNING, &loads, |load| load.running),
            self.per_load(metrics::POD_KV_CACHE, &loads, |load| load.kv_cache),
            self.adapters(&loads),
            self.per_load(metrics::POD_MAX_ADAPTERS, &loads, |load| {
                Some(f64::from(load.adapters.as_ref()?.max?))
            }),
            self.named_adapters(&loads),
            self.states(now),
            self.per_pod(metrics::SCRAPE_DURATION, |pod| {
                Some(pod.scrapes.last_attempt()?.duration.as_secs_f64())
            }),
            self.errors(),
            self.per_pod(metrics::SCRAPE_AGE, |pod| Some(pod.scrapes.age(now)?.as_secs_f64())),
            self.discovery_age_family(now),
        ])
    }

    pub(super) fn discovery_age_family(&self, now: Instant) -> Family {
        metrics::DISCOVERY_AGE.family([(self.labels(), Value::Float(self.discovery_age(now).as_secs_f64()))])
    }

    /// The standard deviations that llm-d-router reports, for its alias set. As there, they are sample standard deviations,
    /// and 0 for a single pod; unlike there, they are not rounded to two decimals.
    ///
    /// Source: llm-d/llm-d-router v0.10.0, `calculateSummary` in `pkg/epp/datalayer/logger/logger.go`.
    pub fn std_dev_families(&self, now: Instant) -> Vec<Family> {
        let loads = self.fresh_loads(now);
        with_series([
            self.std_dev(metrics::STD_DEV_KV_CACHE, &loads, |load| load.kv_cache),
            self.std_dev(metrics::STD_DEV_QUEUE, &loads, |load| load.waiting),
            self.std_dev(metrics::STD_DEV_RUNNING, &loads, |load| load.running),
        ])
    }

    fn fresh_loads(&self, now: Instant) -> Vec<(&Pod, &ServerLoad)> {
        let pods = self.pods.iter();
        pods.filter_map(|pod| Some((&**pod, pod.scrapes.fresh(now, self.stale_after)?)))
            .collect()
    }

    fn average(&self, metric: Metric, loads: &Loads<'_>, value: impl Fn(&ServerLoad) -> Option<f64>) -> Family {
        let values: Vec<f64> = loads.iter().filter_map(|(_, load)| value(load)).collect();
        metric.family(mean(&values).map(|mean| (self.labels(), Value::Float(mean))))
    }

    fn std_dev(&self, metric: Metric, loads: &Loads<'_>, value: impl Fn(&ServerLoad) -> Option<f64>) -> Family {
        let values: Vec<f64> = loads.iter().filter_map(|(_, load)| value(load)).collect();
        let std_dev = mean(&values).map(|mean| {
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            (squares / (values.len() as f64 - 1.0).max(1.0)).sqrt()
        });
        metric.family(std_dev.map(|std_dev| (self.labels(), Value::Float(std_dev))))
    }

    fn per_load(&self, metric: Metric, loads: &Loads<'_>, value: impl Fn(&ServerLoad) -> Option<f64>) -> Family {
        let series = loads
            .iter()
            .filter_map(|(pod, load)| Some((self.pod_labels(pod), Value::Float(value(load)?))));
        metric.family(series)
    }

    fn per_pod(&self, metric: Metric, value: impl Fn(&Pod) -> Option<f64>) -> Family {
        let pods = self.pods.iter();
        metric.family(pods.filter_map(|pod| Some((self.pod_labels(pod), Value::Float(value(pod)?)))))
    }

    fn adapters(&self, loads: &Loads<'_>) -> Family {
        let series = adapters_by_state(loads).map(|(pod, state, names)| {
            let mut labels = self.pod_labels(pod);
            labels.push(("state", Arc::from(state)));
            (labels, count(names.len()))
        });
        metrics::POD_ADAPTERS.family(series)
    }

    fn named_adapters(&self, loads: &Loads<'_>) -> Family {
        let series = adapters_by_state(loads).flat_map(|(pod, state, names)| {
            names.iter().take(MAX_NAMED_ADAPTERS).map(move |name| {
                let mut labels = self.pod_labels(pod);
                labels.push(("adapter_name", Arc::from(name.as_str())));
                labels.push(("state", Arc::from(state)));
                (labels, count(1))
            })
        });
        metrics::POD_ADAPTER.family(series)
    }

    fn states(&self, now: Instant) -> Family {
        let mut counts = [0; PodState::ALL.len()];
        for pod in &self.pods {
            if let Some(count) = counts.get_mut(pod.state(now, self.stale_after) as usize) {
                *count += 1;
            }
        }
        let series = PodState::ALL.into_iter().zip(counts).map(|(state, pods)| {
            let mut labels = self.labels();
            labels.push(("state", Arc::from(state.as_str())));
            (labels, count(pods))
        });
        metrics::PODS.family(series)
    }

    fn errors(&self) -> Family {
        let series = self.pods.iter().flat_map(|pod| {
            pod.scrapes.failures().map(|(reason, count)| {
                let mut labels = self.pod_labels(pod);
                labels.push(("reason", Arc::from(reason.as_str())));
                (labels, Value::Integer(count))
            })
        });
        metrics::SCRAPE_ERRORS.family(series)
    }

    fn labels(&self) -> SeriesLabels {
        let name = ("name", Arc::clone(&self.name));
        let namespace = self.namespace.as_ref();
        std::iter::once(name)
            .chain(namespace.map(|namespace| ("namespace", Arc::clone(namespace))))
            .collect()
    }

    fn pod_labels(&self, pod: &Pod) -> SeriesLabels {
        let mut labels = self.labels();
        labels.push(("model_server_pod", Arc::clone(&pod.target.name)));
        labels
    }
}

/// The adapters of each pod that reports some, by the label `state`.
fn adapters_by_state<'a>(loads: &'a Loads<'_>) -> impl Iterator<Item = (&'a Pod, &'static str, &'a [String])> {
    loads.iter().flat_map(|(pod, load)| {
        let states = load.adapters.iter().flat_map(|adapters| {
            let Adapters {
                max: _,
                running,
                waiting,
            } = adapters;
            [("running", running.as_slice()), ("waiting", waiting.as_slice())]
        });
        states.map(|(state, names)| (*pod, state, names))
    })
}

fn with_series<const N: usize>(families: [Family; N]) -> Vec<Family> {
    let families = families.into_iter();
    families.filter(|family| !family.series.is_empty()).collect()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn count(number: usize) -> Value {
    Value::Float(number as f64)
}
