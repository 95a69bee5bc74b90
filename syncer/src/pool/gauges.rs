//! Computes the families of the table from a [`Pool`].

use std::sync::Arc;
use std::time::Instant;

use super::metrics;
use super::ready::ReadyLoads;
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
        let ready = ReadyLoads::new(self, now);
        let families = with_series([
            self.average(metrics::AVERAGE_KV_CACHE, ready.mean(|load| load.kv_cache)),
            self.average(metrics::AVERAGE_QUEUE, ready.mean(|load| load.waiting)),
            self.per_load(metrics::POD_QUEUE, &loads, |load| load.waiting),
            metrics::READY_PODS.family([(self.labels(), count(self.ready_pods(now, |_| true)))]),
            self.average(metrics::AVERAGE_RUNNING, ready.mean(|load| load.running)),
            self.average(metrics::SATURATION, ready.saturation()),
            self.per_load(metrics::POD_RUNNING, &loads, |load| load.running),
            self.per_load(metrics::POD_KV_CACHE, &loads, |load| load.kv_cache),
            self.per_pod(metrics::POD_READY, |pod| {
                Some(f64::from(u8::from(pod.is_ready(now, self.settings.stale_after))))
            }),
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
        ]);
        families.into_iter().chain(self.role_families(&ready, now)).collect()
    }

    /// The averages and ready pods of each role; none without roles.
    fn role_families(&self, ready: &ReadyLoads<'_>, now: Instant) -> Vec<Family> {
        let roles: Vec<_> = self.roles.iter().map(|role| (role, ready.of_role(role))).collect();
        let averages = |metric: Metric, value: &dyn Fn(&ReadyLoads<'_>) -> Option<f64>| {
            let series = roles
                .iter()
                .filter_map(|(role, loads)| Some((self.role_labels(role), Value::Float(value(loads)?))));
            metric.family(series)
        };
        let pods = roles.iter().map(|(role, _)| {
            let pods = self.ready_pods(now, |pod| pod.role.as_ref() == Some(*role));
            (self.role_labels(role), count(pods))
        });
        with_series([
            averages(metrics::ROLE_AVERAGE_KV_CACHE, &|loads| {
                loads.mean(|load| load.kv_cache)
            }),
            averages(metrics::ROLE_AVERAGE_QUEUE, &|loads| loads.mean(|load| load.waiting)),
            averages(metrics::ROLE_AVERAGE_RUNNING, &|loads| loads.mean(|load| load.running)),
            averages(metrics::ROLE_SATURATION, &|loads| loads.saturation()),
            metrics::ROLE_READY_PODS.family(pods),
        ])
    }

    pub(super) fn discovery_age_family(&self, now: Instant) -> Family {
        metrics::DISCOVERY_AGE.family([(self.labels(), Value::Float(self.discovery_age(now).as_secs_f64()))])
    }

    /// The standard deviations that llm-d-router reports, for its alias set. As there, they are sample standard deviations,
    /// and 0 for a single pod; unlike there, they are not rounded to two decimals, and are those of the ready pods.
    ///
    /// Source: llm-d/llm-d-router v0.10.0, `calculateSummary` in `pkg/epp/datalayer/logger/logger.go`.
    pub fn std_dev_families(&self, now: Instant) -> Vec<Family> {
        let ready = ReadyLoads::new(self, now);
        with_series([
            self.average(metrics::STD_DEV_KV_CACHE, ready.std_dev(|load| load.kv_cache)),
            self.average(metrics::STD_DEV_QUEUE, ready.std_dev(|load| load.waiting)),
            self.average(metrics::STD_DEV_RUNNING, ready.std_dev(|load| load.running)),
        ])
    }

    fn fresh_loads(&self, now: Instant) -> Vec<(&Pod, &ServerLoad)> {
        let pods = self.pods.iter();
        pods.filter_map(|pod| Some((&**pod, pod.scrapes.fresh(now, self.settings.stale_after)?)))
            .collect()
    }

    /// Ready pods for which `counts` is true.
    fn ready_pods(&self, now: Instant, counts: impl Fn(&Pod) -> bool) -> usize {
        let ready = |pod: &&Arc<Pod>| pod.is_ready(now, self.settings.stale_after) && counts(pod);
        self.pods.iter().filter(ready).count()
    }

    /// The pool's one series of a metric.
    fn average(&self, metric: Metric, value: Option<f64>) -> Family {
        metric.family(value.map(|value| (self.labels(), Value::Float(value))))
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
            if let Some(count) = counts.get_mut(pod.state(now, self.settings.stale_after) as usize) {
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
        labels.extend(pod.role.as_ref().map(|role| ("role", Arc::clone(role))));
        labels
    }

    fn role_labels(&self, role: &Arc<str>) -> SeriesLabels {
        let mut labels = self.labels();
        labels.push(("role", Arc::clone(role)));
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

fn count(number: usize) -> Value {
    Value::Float(number as f64)
}
