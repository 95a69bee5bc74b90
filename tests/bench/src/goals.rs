//! What the filter may cost, beside what it is compared with, and whether a run met it.

use std::fmt::Write;

use crate::run::{Figures, Slices};
use crate::summary::Spread;
use crate::variant::Variant;

/// The limit of the filter's file, in bytes.
const MAX_WASM_BYTES: u64 = 250 * 1024;
/// An `ext_proc` server that reads the same facts must cost at least this many times as much.
const EXT_PROC_FACTOR: f64 = 20.0;

/// A limit of the CPU time that the filter adds, as a multiple of what another one adds.
struct Goal {
    workload: &'static str,
    factor: f64,
    rival: fn(&Variant) -> bool,
}

const GOALS: [Goal; 9] = [
    Goal::new("small", 1.0, is_cpp),
    Goal::new("large", 0.05, is_cpp),
    Goal::new("bulk", 0.3, is_cpp),
    Goal::new("paced", 0.6, is_cpp),
    Goal::new("paced", 2.5, is_noop),
    Goal::new("small", 1.0 / EXT_PROC_FACTOR, is_ext_proc),
    Goal::new("large", 1.0 / EXT_PROC_FACTOR, is_ext_proc),
    Goal::new("bulk", 1.0 / EXT_PROC_FACTOR, is_ext_proc),
    Goal::new("paced", 1.0 / EXT_PROC_FACTOR, is_ext_proc),
];

/// Returns one line per goal, with its mark. A goal whose rival was not measured has none.
pub fn marks(figures: &Figures, wasm_bytes: u64) -> String {
    let mut text = String::from("\nGoals, from the medians of the CPU time that is added\n");
    for goal in &GOALS {
        goal.mark(figures, &mut text);
    }
    let size = format!("{} KB", wasm_bytes / 1024);
    line(
        &mut text,
        wasm_bytes <= MAX_WASM_BYTES,
        "size of the file",
        &size,
        &format!("{} KB", MAX_WASM_BYTES / 1024),
    );
    text
}

fn line(text: &mut String, met: bool, what: &str, value: &str, limit: &str) {
    let mark = if met { "met    " } else { "NOT MET" };
    _ = writeln!(text, "  {mark}  {what:<48} {value:>9}  (limit {limit})");
}

// === impl Goal ===

impl Goal {
    const fn new(workload: &'static str, factor: f64, rival: fn(&Variant) -> bool) -> Self {
        Self {
            workload,
            factor,
            rival,
        }
    }

    fn mark(&self, figures: &Figures, text: &mut String) {
        let Self {
            workload: name,
            factor,
            rival,
        } = self;
        let Some(workload) = figures.workloads.iter().find(|figures| figures.workload.name == *name) else {
            return;
        };
        let without = workload.variants.first().map_or(&[][..], |slices| &slices.cpu_us);
        let added = |slices: &Slices| Spread::of_differences(&slices.cpu_us, without).map(|spread| spread.median);
        let of = |searched: &dyn Fn(&Variant) -> bool| {
            let at = figures.variants.iter().position(searched)?;
            Some((figures.variants.get(at)?, added(workload.variants.get(at)?)?))
        };
        let ours = of(&|variant| *variant == Variant::Infertally);
        if let (Some((_, ours)), Some((rival, theirs))) = (ours, of(rival)) {
            let what = format!("{}, of {}", workload.workload.title, rival.title());
            // What costs nothing can't be compared with.
            let ratio = (theirs > 0.0).then(|| ours / theirs);
            let value = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2} ×"));
            let met = ratio.is_some_and(|ratio| ratio <= *factor);
            line(text, met, &what, &value, &format!("{factor:.2} ×"));
        }
    }
}

fn is_cpp(variant: &Variant) -> bool {
    *variant == Variant::Cpp
}

fn is_noop(variant: &Variant) -> bool {
    matches!(variant, Variant::Noop(_))
}

fn is_ext_proc(variant: &Variant) -> bool {
    matches!(variant, Variant::ExtProc(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::WorkloadFigures;
    use crate::workload::Workload;

    fn figures(ours: f64, cpp: f64) -> Figures {
        let slices = |cpu_us| Slices {
            cpu_us: vec![cpu_us],
            ..Slices::default()
        };
        let workloads = Workload::all(100).into_iter().take(1).map(|workload| WorkloadFigures {
            workload,
            variants: vec![slices(100.0), slices(100.0 + ours), slices(100.0 + cpp)],
        });
        Figures {
            variants: vec![Variant::Plain, Variant::Infertally, Variant::Cpp],
            resident_bytes: Vec::new(),
            stats_pages: Vec::new(),
            workloads: workloads.collect(),
        }
    }

    #[test]
    fn a_goal_is_met_up_to_its_limit() {
        for (ours, cpp, bytes, expected) in [
            (40.0, 40.0, MAX_WASM_BYTES, [true, true]),
            (41.0, 40.0, MAX_WASM_BYTES + 1, [false, false]),
            (-1.0, 0.0, 1, [false, true]),
        ] {
            let text = marks(&figures(ours, cpp), bytes);
            let met: Vec<_> = text.lines().skip(2).map(|line| line.starts_with("  met")).collect();
            assert_eq!(met, expected, "{text}");
        }
    }
}
