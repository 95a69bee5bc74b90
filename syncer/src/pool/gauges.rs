//! What a [`Pool`] says to each metric of the table, at a moment.

use std::sync::Arc;
use std::time::Instant;

use super::metrics;
use super::{Pod, Pool, State};
use crate::engine::{Adapters, ServerLoad};
use crate::exposition::{Family, Metric, SeriesLabels, Value};

/// Adapters named of a pod and a state: more than a batch mixes, and a bound on what a server's names can make of the
/// page. Those beyond it still count in the number.
const MAX_NAMED: usize = 64;

// === impl Pool ===

impl Pool {
    /// All families of the pool, in the table's order. A family without a series is left out.
    pub fn families(&self, now: Instant) -> Vec<Family> {
        let loads: Vec<_> = self
            .pods
            .iter()
            .filter_map(|pod| Some((&**pod, pod.history.fresh(now, self.stale_after)?)))
            .collect();
        let is_ready = |pod: &&Arc<Pod>| pod.is_ready(now, self.stale_after);
        let ready = self.pods.iter().filter(is_ready).count();
        let families = [
            self.average(metrics::AVERAGE_KV_CACHE, &loads, |load| load.kv_cache),
            self.average(metrics::AVERAGE_QUEUE, &loads, |load| load.waiting),
            self.per_pod(metrics::POD_QUEUE, &loads, |load| load.waiting),
            metrics::READY_PODS.family([(self.labels(), count(ready))]),
            self.average(metrics::AVERAGE_RUNNING, &loads, |load| load.running),
            self.per_pod(metrics::POD_RUNNING, &loads, |load| load.running),
            self.per_pod(metrics::POD_KV_CACHE, &loads, |load| load.kv_cache),
            self.adapters(&loads),
            self.per_pod(metrics::POD_MAX_ADAPTERS, &loads, |load| {
                Some(f64::from(load.adapters.as_ref()?.max?))
            }),
            self.named_adapters(&loads),
            self.states(now),
            self.each(metrics::SCRAPE_DURATION, |pod| {
                Some(pod.history.last()?.took.as_secs_f64())
            }),
            self.errors(),
            self.each(metrics::SCRAPE_AGE, |pod| Some(pod.history.age(now)?.as_secs_f64())),
            metrics::DISCOVERY_AGE.family([(self.labels(), Value::Float(self.source_age(now).as_secs_f64()))]),
        ];
        families
            .into_iter()
            .filter(|family| !family.series.is_empty())
            .collect()
    }

    /// Over the pods that say it.
    fn average(
        &self,
        metric: Metric,
        loads: &[(&Pod, &ServerLoad)],
        value: impl Fn(&ServerLoad) -> Option<f64>,
    ) -> Family {
        let values: Vec<f64> = loads.iter().filter_map(|(_, load)| value(load)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        metric.family((!values.is_empty()).then(|| (self.labels(), Value::Float(mean))))
    }

    fn per_pod(
        &self,
        metric: Metric,
        loads: &[(&Pod, &ServerLoad)],
        value: impl Fn(&ServerLoad) -> Option<f64>,
    ) -> Family {
        let series = loads
            .iter()
            .filter_map(|(pod, load)| Some((self.pod_labels(pod), Value::Float(value(load)?))));
        metric.family(series)
    }

    fn adapters(&self, loads: &[(&Pod, &ServerLoad)]) -> Family {
        let series = by_state(loads).map(|(pod, state, names)| {
            let mut labels = self.pod_labels(pod);
            labels.push(("state", Arc::from(state)));
            (labels, count(names.len()))
        });
        metrics::POD_ADAPTERS.family(series)
    }

    fn named_adapters(&self, loads: &[(&Pod, &ServerLoad)]) -> Family {
        let series = by_state(loads).flat_map(|(pod, state, names)| {
            names.iter().take(MAX_NAMED).map(move |name| {
                let mut labels = self.pod_labels(pod);
                labels.push(("adapter_name", Arc::from(name.as_str())));
                labels.push(("state", Arc::from(state)));
                (labels, count(1))
            })
        });
        metrics::POD_ADAPTER.family(series)
    }

    fn each(&self, metric: Metric, value: impl Fn(&Pod) -> Option<f64>) -> Family {
        let pods = self.pods.iter();
        metric.family(pods.filter_map(|pod| Some((self.pod_labels(pod), Value::Float(value(pod)?)))))
    }

    fn states(&self, now: Instant) -> Family {
        let mut counts = [0; State::ALL.len()];
        for pod in &self.pods {
            if let Some(count) = counts.get_mut(pod.state(now, self.stale_after) as usize) {
                *count += 1;
            }
        }
        let series = State::ALL.into_iter().zip(counts).map(|(state, pods)| {
            let mut labels = self.labels();
            labels.push(("state", Arc::from(state.as_str())));
            (labels, count(pods))
        });
        metrics::PODS.family(series)
    }

    fn errors(&self) -> Family {
        let series = self.pods.iter().flat_map(|pod| {
            pod.history.failures().map(|(reason, count)| {
                let mut labels = self.pod_labels(pod);
                labels.push(("reason", Arc::from(reason.as_str())));
                (labels, Value::Integer(count))
            })
        });
        metrics::SCRAPE_ERRORS.family(series)
    }

    fn labels(&self) -> SeriesLabels {
        vec![("name", Arc::clone(&self.name))]
    }

    fn pod_labels(&self, pod: &Pod) -> SeriesLabels {
        vec![
            ("name", Arc::clone(&self.name)),
            ("model_server_pod", Arc::clone(&pod.target.name)),
        ]
    }
}

/// The adapters of each pod that says something of them, by the label `state`.
fn by_state<'a>(loads: &'a [(&'a Pod, &'a ServerLoad)]) -> impl Iterator<Item = (&'a Pod, &'static str, &'a [String])> {
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

fn count(many: usize) -> Value {
    Value::Float(many as f64)
}
