//! [`parse`] and [`engine::read`], which read a model server's metrics page, and what the pool serves of it. Input: a format,
//! an option, a body.

use std::collections::BTreeSet;
use std::sync::Arc;

use infertally_syncer::engine::{self, Adapters, Engine, EngineOptions, Selector, ServerLoad};
use infertally_syncer::exposition::{Format, ParseError, Series, Value, parse};
use infertally_syncer::target::Target;

use crate::body::Body;
use crate::choices::Choices;
use crate::families::{self, FORMATS, Row};
use crate::heap;

/// Engines and metrics that the user configures; the first of both is none.
const ENGINES: [Option<Engine>; 8] = [
    None,
    Some(Engine::Vllm),
    Some(Engine::Sglang),
    Some(Engine::TensorRtLlm),
    Some(Engine::TritonTensorRtLlm),
    Some(Engine::Triton),
    Some(Engine::LlamaCpp),
    Some(Engine::Tgi),
];
const SELECTORS: [&str; 4] = [
    "",
    "vllm:num_requests_waiting",
    "nv_trt_llm_request_metrics{request_type=waiting}",
    "a{b=\"\"}",
];
/// Names of labels for samples that are encoded again; the values are the page's.
const LABELS: [&str; 8] = ["a", "b_", "_c", "D", "e0", "f", "model_name", "h"];
/// Samples that are encoded again: one line may break a page, thousands only take time.
const MAX_ENCODED: usize = 64;
/// Heap bytes that reading takes per byte of the page, and in addition. A label of four bytes takes 40 in a vector that may
/// be half empty, for up to three metrics.
const HEAP_PER_BYTE: usize = 64;
const HEAP: usize = 32 * 1024;
/// Limits of a load.
const MAX_REQUESTS: f64 = 1e9;
const MAX_ADAPTERS: usize = 1024;
const MAX_ADAPTER_NAME: usize = 256;
/// Bytes of an error as it is logged.
const MAX_ERROR: usize = 600;

/// Panics if a property does not hold.
pub fn check(input: &[u8]) {
    let mut choices = Choices(input);
    let format = choices.pick(&FORMATS).unwrap_or(Format::Text);
    let options = options(&mut choices);
    let body = Body::read(choices);
    let samples = check_samples(&body, format);
    check_encoding(&body, &samples);
    let load = check_load(&body, format, &options);
    let name = String::from_utf8_lossy(body.bytes.get(..16).unwrap_or(&body.bytes));
    let target = |name: &str| Target {
        name: Arc::from(name),
        url: None,
        ready: Some(true),
        engine: None,
        role: None,
    };
    families::check_pool(vec![target("a"), target(&name)], &load.unwrap_or_default());
}

fn options(choices: &mut Choices<'_>) -> EngineOptions {
    let choice = usize::from(choices.byte());
    let selector = |at: usize| -> Option<Selector> { SELECTORS.get(at % SELECTORS.len())?.parse().ok() };
    EngineOptions {
        engine: ENGINES.get(choice % ENGINES.len()).copied().flatten(),
        waiting: selector(choice / 8),
        running: selector(choice / 32),
        kv_cache: selector(choice / 64),
    }
}

/// The samples do not depend on how the page is cut, nor on the names that are skipped.
fn check_samples(body: &Body, format: Format) -> Vec<Row> {
    let (result, rows) = body.read_in_pieces(|pieces| samples(pieces, format, |_| true));
    if let Err(error) = &result {
        let lines = body.bytes.split(|byte| *byte == b'\n').count();
        assert!((1..=lines + 1).contains(&error.line()), "{error}");
        assert!(error.to_string().len() < MAX_ERROR, "{error}");
        return rows;
    }
    if let Some((first, ..)) = rows.first() {
        let (result, of_name) = samples(&mut [&*body.bytes].into_iter(), format, |name| name == first);
        assert_eq!(result, Ok(()));
        let expected: Vec<_> = rows.iter().filter(|(name, ..)| name == first).collect();
        assert_eq!(of_name.iter().collect::<Vec<_>>(), expected);
    }
    rows
}

fn samples(
    pieces: &mut dyn Iterator<Item = &[u8]>,
    format: Format,
    wanted: impl Fn(&str) -> bool,
) -> (Result<(), ParseError>, Vec<Row>) {
    let mut rows = Vec::new();
    let result = parse(pieces, format, wanted, |sample| rows.push(families::row(&sample)));
    (result, rows)
}

/// A page with the same label values is valid, whatever they hold.
fn check_encoding(body: &Body, samples: &[Row]) {
    let series = samples.iter().take(MAX_ENCODED).map(|(_, labels, value)| Series {
        labels: LABELS
            .into_iter()
            .zip(labels.iter().map(|(_, value)| Arc::from(value.as_str())))
            .collect(),
        value: Value::Float(f64::from_bits(*value)),
    });
    let help = String::from_utf8_lossy(body.bytes.get(..64).unwrap_or(&body.bytes));
    families::check(&[families::gauges(help.into_owned(), series.collect())]);
}

/// The load does not depend on how the page is cut, is plausible, and takes memory in proportion to the page.
fn check_load(body: &Body, format: Format, options: &EngineOptions) -> Option<ServerLoad> {
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| engine::read(pieces, format, options);
    let peak = heap::peak(|| _ = read(&mut [&*body.bytes].into_iter()));
    let limit = HEAP + HEAP_PER_BYTE * body.bytes.len();
    assert!(peak <= limit, "{peak} bytes for a page of {}", body.bytes.len());
    let load = match body.read_in_pieces(read) {
        Ok(load) => load,
        Err(error) => {
            assert!(error.to_string().len() < MAX_ERROR, "{error}");
            return None;
        }
    };
    let ServerLoad {
        waiting,
        running,
        kv_cache,
        adapters,
        engine,
    } = &load;
    for requests in [waiting, running].into_iter().flatten() {
        assert!((0.0..=MAX_REQUESTS).contains(requests), "{requests}");
    }
    assert!(
        kv_cache.is_none_or(|usage| (0.0..=1.0).contains(&usage)),
        "{kv_cache:?}"
    );
    assert!(options.engine.is_none() || options.engine == *engine, "{engine:?}");
    if let Some(Adapters {
        max: _,
        running,
        waiting,
    }) = adapters
    {
        for names in [running, waiting] {
            assert!(names.len() <= MAX_ADAPTERS);
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
            let valid = |name: &String| (1..=MAX_ADAPTER_NAME).contains(&name.len());
            assert!(names.iter().all(valid), "{names:?}");
        }
    }
    Some(load)
}
