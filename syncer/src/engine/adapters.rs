//! [`Adapters`], read from vLLM's `vllm:lora_requests_info`, whose labels list the adapters and whose value is the time of
//! the last change. Past combinations stay on the page, so the series with the largest value is the current one.

use crate::exposition::Sample;

/// Adapters of a list: a server has tens of them loaded.
const MAX_ADAPTERS: usize = 1024;
/// Bytes of an adapter's name; requests do not use longer ones.
const MAX_NAME: usize = 256;

/// The LoRA adapters that requests use on a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adapters {
    /// How many can run at the same time.
    pub max: Option<u32>,
    /// Adapters of running requests, without duplicates.
    pub running: Vec<String>,
    /// Adapters of waiting requests, without duplicates.
    pub waiting: Vec<String>,
}

/// The series with the largest value so far.
#[derive(Default)]
pub(super) struct Latest<'a>(Option<Sample<'a>>);

// === impl Latest ===

impl<'a> Latest<'a> {
    pub(super) fn observe(&mut self, sample: Sample<'a>) {
        let Self(latest) = self;
        if sample.value.is_finite() && latest.is_none_or(|latest| sample.value > latest.value) {
            *latest = Some(sample);
        }
    }

    /// Also `None` if a list is over the limit: part of it would be wrong.
    pub(super) fn adapters(&self) -> Option<Adapters> {
        let Self(latest) = self;
        let labels = latest.as_ref()?.labels;
        let list = |label| names(&labels.get(label).unwrap_or_default());
        Some(Adapters {
            max: labels.get("max_lora").and_then(|max| max.parse().ok()),
            running: list("running_lora_adapters")?,
            waiting: list("waiting_lora_adapters")?,
        })
    }
}

/// The names of a comma-separated list; blanks around them are ignored.
fn names(list: &str) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if name.len() > MAX_NAME || names.len() == MAX_ADAPTERS {
            return None;
        }
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Some(names)
}
