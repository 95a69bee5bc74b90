//! Reads the load of a model server from its metrics page, whichever engine it runs.
//!
//! It owns the engines' metric names (`table`), how the series of one server are aggregated (`aggregate`), and which
//! values are valid. It knows neither pods nor pools. Invariant: absent is not zero. A metric that the page lacks, or of
//! which one series is invalid, is `None`: a partial sum would be wrong.

mod adapters;
mod aggregate;
mod options;
mod selector;
mod sources;
mod table;

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::exposition::{self, Format, ParseError};
pub use adapters::Adapters;
use adapters::Latest;
use aggregate::{Aggregate, LimitExceeded, MAX_LABELS, MAX_SERIES, Quantity};
pub use options::EngineOptions;
pub use selector::{Selector, SelectorError};
use sources::sources;
pub use table::{Engine, UnknownEngine};

/// The load of a server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerLoad {
    /// Waiting requests, summed over models, data-parallel ranks and queues.
    pub waiting: Option<f64>,
    /// Running requests, likewise.
    pub running: Option<f64>,
    /// KV cache utilization, 0 to 1, averaged over the ranks.
    pub kv_cache: Option<f64>,
    /// The LoRA adapters; also `None` until the server has served one.
    pub adapters: Option<Adapters>,
    /// The engine, configured or detected.
    pub engine: Option<Engine>,
}

/// Why a page cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The page is not in an exposition format.
    #[error(transparent)]
    Page(#[from] ParseError),
    /// A metric has more than [`MAX_SERIES`].
    #[error("metric {0}: more than {MAX_SERIES} series")]
    TooManySeries(String),
    /// A series has more than [`MAX_LABELS`].
    #[error("metric {0}: a series with more than {MAX_LABELS} labels")]
    TooManyLabels(String),
}

/// Reads the load from a page, which may come in several pieces of whole lines.
///
/// Several series of a metric are ranks or models: they are summed, or averaged for the KV cache. A number of requests must
/// be finite, not negative and plausible, a utilization from 0 to 1, and series must be unique. Otherwise the metric is
/// missing.
///
/// # Errors
/// If Prometheus would reject the page too, as far as it is read, or if a limit is exceeded.
pub fn read<'a>(
    page: impl IntoIterator<Item = &'a [u8]>,
    format: Format,
    options: &EngineOptions,
) -> Result<ServerLoad, ReadError> {
    let rows = || {
        table::ROWS
            .iter()
            .filter(|row| options.engine.is_none_or(|configured| configured == row.engine))
    };
    let sources = sources(rows(), options, format);
    let mut aggregates: Vec<Aggregate<'_>> = sources.iter().map(|_| Aggregate::default()).collect();
    let mut latest = Latest::default();
    let mut result = Ok(());
    let detected: Cell<Option<Engine>> = Cell::new(options.engine);

    let wanted = |name: &str| {
        // Only an engine that precedes the detected one can replace it.
        let mut preceding = table::ROWS
            .iter()
            .take_while(|row| detected.get().is_none_or(|engine| row.engine < engine));
        if options.engine.is_none()
            && let Some(row) = preceding.find(|row| name.starts_with(row.prefix))
        {
            detected.set(Some(row.engine));
        }
        // Of a page's 200 names few are an engine's, and engines after the detected one no longer count.
        let counts = |engine: Engine| detected.get().is_none_or(|detected| engine <= detected);
        let mut counted = sources.iter().filter(|source| source.engine.is_none_or(counts));
        counted.any(|source| source.name == name) || rows().any(|row| row.adapters == Some(name))
    };
    exposition::parse(page, format, wanted, |sample| {
        if rows().any(|row| row.adapters == Some(sample.name)) {
            latest.observe(sample);
        }
        for (source, aggregate) in sources.iter().zip(&mut aggregates) {
            if result.is_ok() && source.name == sample.name && source.selects(&sample.labels) {
                result = aggregate
                    .add(source.quantity, &sample)
                    .map_err(|exceeded| match exceeded {
                        LimitExceeded::Series => ReadError::TooManySeries(source.name.to_string()),
                        LimitExceeded::Labels => ReadError::TooManyLabels(source.name.to_string()),
                    });
            }
        }
    })?;
    result?;

    let engine = detected.get();
    let value = |quantity| {
        let present = sources.iter().zip(&aggregates).filter(|(source, aggregate)| {
            source.quantity == quantity && (source.engine.is_none() || source.engine == engine) && !aggregate.is_empty()
        });
        let mut parts: BTreeMap<usize, Option<f64>> = BTreeMap::new();
        for (source, aggregate) in present {
            // The first source with series decides, even if its series are invalid.
            parts
                .entry(source.part)
                .or_insert_with(|| aggregate.value(quantity, source.replica_labels));
        }
        if !parts.contains_key(&0) {
            return None;
        }
        let sum = parts.into_values().sum::<Option<f64>>()?;
        quantity.accepts(sum).then_some(sum)
    };
    Ok(ServerLoad {
        waiting: value(Quantity::Waiting),
        running: value(Quantity::Running),
        kv_cache: value(Quantity::KvCache),
        adapters: latest.adapters().filter(|_| engine == Some(Engine::Vllm)),
        engine,
    })
}

#[cfg(test)]
mod tests;
