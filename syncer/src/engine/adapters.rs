//! vLLM's `vllm:lora_requests_info`: the adapters stand in its labels, and its value is the time of the last change.
//!
//! Every combination that there ever was stays on the page, so the series with the largest value is the current one.

use crate::exposition::Sample;

/// Adapters kept of one list: a server has tens of them loaded at most.
const MAX_ADAPTERS: usize = 1024;
/// Bytes of an adapter's name; a longer one is no name that a request could ask for.
const MAX_NAME: usize = 256;

/// A server's LoRA adapters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adapters {
    /// How many can run at a time.
    pub max: Option<u32>,
    /// Those that requests use, each once.
    pub running: Vec<String>,
    /// Those that requests wait for, each once.
    pub waiting: Vec<String>,
}

/// The series with the largest value so far.
#[derive(Default)]
pub(super) struct Latest<'a>(Option<Sample<'a>>);

// === impl Latest ===

impl<'a> Latest<'a> {
    pub(super) fn see(&mut self, sample: Sample<'a>) {
        let Self(latest) = self;
        if sample.value.is_finite() && latest.is_none_or(|latest| sample.value > latest.value) {
            *latest = Some(sample);
        }
    }

    /// None also if a list is too long: half of one would be a lie.
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

/// The names of a list that commas separate, with or without a blank.
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
