//! What a model server's metrics say of its load, whichever engine it is.
//!
//! It owns the engines' metric names (`table`), how the series of one server become one number (`tally`) and which
//! number can be believed. It knows neither pods nor pools. Invariant: absent is not zero. A metric that the page lacks, or of
//! which a single series can't be believed, is `None`: part of a sum would be a lie.

mod adapters;
mod selector;
mod source;
mod table;
mod tally;

use std::cell::Cell;
use std::str::FromStr;

pub use crate::engine::adapters::Adapters;
pub use crate::engine::selector::{Selector, SelectorError};
use crate::exposition::{self, Format, ParseError};
use adapters::Latest;
use source::sources;
use tally::{Excess, MAX_LABELS, MAX_SERIES, Quantity, Tally};

/// The model servers whose metrics are known. A page that holds the metrics of several is read as that of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// vLLM.
    Vllm,
    /// SGLang.
    Sglang,
    /// TensorRT-LLM's own server, `trtllm-serve`.
    TensorRtLlm,
    /// Triton with the TensorRT-LLM backend.
    TritonTensorRtLlm,
    /// Triton with any other backend.
    Triton,
}

/// A text that names no engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("engine {0:?} is none of vllm, sglang, trtllm, triton-trtllm, triton")]
pub struct UnknownEngine(String);

/// How a server's page is read. The default recognises the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The engine that it is, whatever the page looks like.
    pub engine: Option<Engine>,
    /// Where the number of waiting requests stands, instead of where the engine puts it.
    pub waiting: Option<Selector>,
    /// Where the number of running requests stands.
    pub running: Option<Selector>,
    /// Where the use of the KV cache stands.
    pub kv_cache: Option<Selector>,
}

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerLoad {
    /// Requests that wait, all models and data-parallel ranks together.
    pub waiting: Option<f64>,
    /// Requests that run, likewise.
    pub running: Option<f64>,
    /// How much of the KV cache is in use, 0 to 1, the mean over the ranks.
    pub kv_cache: Option<f64>,
    /// Its LoRA adapters. None as long as it has served none, too.
    pub adapters: Option<Adapters>,
    /// The engine, forced or recognised.
    pub engine: Option<Engine>,
}

/// Why a page says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is no page of metrics, or a broken one.
    #[error(transparent)]
    Page(#[from] ParseError),
    /// More series of one metric than are kept.
    #[error("metric {0}: more than {MAX_SERIES} series")]
    TooManySeries(String),
    /// More labels on one series than are kept.
    #[error("metric {0}: a series with more than {MAX_LABELS} labels")]
    TooManyLabels(String),
}

// === impl Engine ===

impl Engine {
    /// Its name in flags and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::Sglang => "sglang",
            Self::TensorRtLlm => "trtllm",
            Self::TritonTensorRtLlm => "triton-trtllm",
            Self::Triton => "triton",
        }
    }
}

impl FromStr for Engine {
    type Err = UnknownEngine;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let row = table::ROWS.iter().find(|row| row.engine.as_str() == text);
        row.map(|row| row.engine).ok_or_else(|| UnknownEngine(text.to_owned()))
    }
}

/// Reads a server's page.
///
/// Several series of a metric are ranks or models: they add up, or for the KV cache make a mean. Per metric, a number
/// of requests has to be finite, not negative and not absurd, the use of the KV cache within 0 and 1, and no series may
/// be given twice; else the metric is missing.
///
/// # Errors
/// A page that Prometheus would not take either (as far as it is read), or one with more series than are kept.
pub fn read(page: &[u8], format: Format, reading: &Reading) -> Result<ServerLoad, ReadError> {
    let rows = || {
        table::ROWS
            .iter()
            .filter(|row| reading.engine.is_none_or(|forced| forced == row.engine))
    };
    let sources = sources(rows(), reading, format);
    let mut tallies: Vec<Tally<'_>> = sources.iter().map(|_| Tally::default()).collect();
    let mut latest = Latest::default();
    let mut failed = Ok(());
    let recognised: Cell<Option<Engine>> = Cell::new(reading.engine);

    let wanted = |name: &str| {
        // Only an engine that goes before the one recognised so far is news.
        let mut news = table::ROWS
            .iter()
            .take_while(|row| recognised.get().is_none_or(|engine| row.engine < engine));
        if reading.engine.is_none()
            && let Some(row) = news.find(|row| name.starts_with(row.prefix))
        {
            recognised.set(Some(row.engine));
        }
        sources.iter().any(|source| source.name == name) || rows().any(|row| row.adapters == Some(name))
    };
    exposition::parse(page, format, wanted, |sample| {
        if rows().any(|row| row.adapters == Some(sample.name)) {
            latest.see(sample);
        }
        for (source, tally) in sources.iter().zip(&mut tallies) {
            if failed.is_ok() && source.name == sample.name && source.selects(&sample.labels) {
                failed = tally.add(source.quantity, &sample).map_err(|excess| match excess {
                    Excess::Series => ReadError::TooManySeries(source.name.to_string()),
                    Excess::Labels => ReadError::TooManyLabels(source.name.to_string()),
                });
            }
        }
    })?;
    failed?;

    let engine = recognised.get();
    let total = |quantity| {
        let mut tallied = sources.iter().zip(&tallies).filter(|(source, tally)| {
            source.quantity == quantity && (source.engine.is_none() || source.engine == engine) && tally.has_series()
        });
        tallied
            .next()
            .and_then(|(source, tally)| tally.total(quantity, source.mirrors))
    };
    Ok(ServerLoad {
        waiting: total(Quantity::Waiting),
        running: total(Quantity::Running),
        kv_cache: total(Quantity::KvCache),
        adapters: latest.adapters().filter(|_| engine == Some(Engine::Vllm)),
        engine,
    })
}

#[cfg(test)]
mod tests;
