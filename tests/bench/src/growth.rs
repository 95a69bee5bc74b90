//! How the filter's cost grows with bodies, events, models, open streams and workers. Nothing may grow faster than linearly,
//! and the cost per request must not depend on what else Envoy has.

use std::path::PathBuf;

use infertally_harness::Result;

use crate::run::{Figures, Options, Slices, run};
use crate::summary::Spread;
use crate::variant::Variant;
use crate::workload::Workload;

pub use crate::plot::svg;

/// How a figure may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// It does not depend on the parameter.
    Flat,
    /// No faster than the parameter.
    Linear,
}

/// A figure by a parameter.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Its title.
    pub title: &'static str,
    /// The parameter.
    pub parameter: &'static str,
    /// The unit of the figure.
    pub unit: &'static str,
    /// How it may grow.
    pub growth: Growth,
    /// In the order of the parameter.
    pub points: Vec<Point>,
}

/// A figure at one value of the parameter.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// The parameter.
    pub x: usize,
    /// The figure without a filter.
    pub without: f64,
    /// What the filter adds.
    pub added: f64,
}

/// What all curves have in common.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The Envoy binary.
    pub envoy: PathBuf,
    /// `infertally.wasm`.
    pub wasm: PathBuf,
    /// Slices per point.
    pub rounds: usize,
}

/// The added cost at the end of a flat curve may be this many times that at its start: the machine's caches, and noise.
const FLAT: f64 = 2.0;
/// The same for the cost per unit of the parameter.
const LINEAR: f64 = 1.5;
/// Requests of a slice of the largest body and the longest stream.
const MIN_REPEATS: usize = 3;
const SMALL_REPEATS: usize = 300;
/// About the bytes of a slice.
const SLICE_BYTES: usize = 4_000_000;
/// About the events of a slice.
const SLICE_EVENTS: usize = 12_000;

const BODIES: [usize; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
const EVENTS: [usize; 4] = [10, 100, 1_000, 10_000];
const MODELS: [usize; 3] = [1, 20, 200];
const STREAMS: [usize; 4] = [10, 100, 1_000, 10_000];
const WORKERS: [usize; 2] = [1, 2];

/// Measures all curves; `progress` is called before each run.
///
/// # Errors
/// As [`run`].
pub async fn curves(binaries: &Binaries, progress: impl Fn(&str)) -> Result<Vec<Curve>> {
    let mut curves = vec![body(binaries, &progress).await?, events(binaries, &progress).await?];
    curves.extend(models(binaries, &progress).await?);
    curves.extend(open_streams(binaries, &progress).await?);
    curves.push(workers(binaries, &progress).await?);
    Ok(curves)
}

async fn body(binaries: &Binaries, progress: &impl Fn(&str)) -> Result<Curve> {
    progress("body");
    let workloads = BODIES.iter().map(|bytes| {
        let repeats = (SLICE_BYTES / bytes).clamp(MIN_REPEATS, SMALL_REPEATS);
        Workload::json(&format!("body-{bytes}"), "body", *bytes, 60, 16).repeated(repeats)
    });
    let figures = run(&binaries.options(), workloads.collect()).await?;
    Ok(Curve {
        title: "CPU of a request, by the size of its body",
        parameter: "bytes",
        unit: "µs",
        growth: Growth::Linear,
        points: cpu_points(&BODIES, &figures)?,
    })
}

async fn events(binaries: &Binaries, progress: &impl Fn(&str)) -> Result<Curve> {
    progress("events");
    let workloads = EVENTS.iter().map(|events| {
        let repeats = (SLICE_EVENTS / events).clamp(MIN_REPEATS, SMALL_REPEATS);
        Workload::stream(&format!("events-{events}"), "events", *events as u64, None).repeated(repeats)
    });
    let figures = run(&binaries.options(), workloads.collect()).await?;
    Ok(Curve {
        title: "CPU of a stream, by its events",
        parameter: "events",
        unit: "µs",
        growth: Growth::Linear,
        points: cpu_points(&EVENTS, &figures)?,
    })
}

/// The cost of a request, and that of a scrape, by the number of models.
async fn models(binaries: &Binaries, progress: &impl Fn(&str)) -> Result<[Curve; 2]> {
    let (mut requests, mut scrapes) = (Vec::new(), Vec::new());
    for models in MODELS {
        progress(&format!("{models} models"));
        let workload = Workload::models(&format!("models-{models}"), "models", models).repeated(SMALL_REPEATS);
        let figures = run(&binaries.options(), vec![workload]).await?;
        requests.extend(cpu_points(&[models], &figures)?);
        let pages = &figures.stats_pages;
        let [without, with] = pages.as_slice() else {
            return Err("a stats page is missing".into());
        };
        scrapes.push(Point {
            x: models,
            without: without.cpu_ms,
            added: with.cpu_ms - without.cpu_ms,
        });
    }
    Ok([
        Curve {
            title: "CPU of a small request, by the models in use",
            parameter: "models",
            unit: "µs",
            growth: Growth::Flat,
            points: requests,
        },
        Curve {
            title: "CPU of GET /stats/prometheus, by the models in use",
            parameter: "models",
            unit: "ms",
            growth: Growth::Linear,
            points: scrapes,
        },
    ])
}

/// The cost of a request, and Envoy's memory, by the number of open streams.
async fn open_streams(binaries: &Binaries, progress: &impl Fn(&str)) -> Result<[Curve; 2]> {
    let (mut requests, mut memory) = (Vec::new(), Vec::new());
    for streams in STREAMS {
        // One Envoy at a time: together they have more connections than a process may have files.
        let mut both = Vec::new();
        for variant in [Variant::Plain, Variant::Infertally] {
            progress(&format!("{streams} open streams, {}", variant.title()));
            let options = Options {
                variants: vec![variant],
                held_streams: streams,
                ..binaries.options()
            };
            let workload = Workload::json("small", "small", 40, 60, 16).repeated(SMALL_REPEATS);
            let figures = run(&options, vec![workload]).await?;
            let cpu_us = figures.workloads.iter().flat_map(|workload| &workload.variants);
            let cpu_us = cpu_us.flat_map(|slices| slices.cpu_us.iter().copied());
            let resident = figures.resident_bytes.first().copied().unwrap_or_default();
            // Unpaired, so the quieter rounds.
            both.push((Spread::of(cpu_us).ok_or("no slices")?.low, resident as f64 / 1e6));
        }
        let [(cpu_without, memory_without), (cpu, resident)] = *both.as_slice() else {
            return Err("a run is missing".into());
        };
        requests.push(Point {
            x: streams,
            without: cpu_without,
            added: cpu - cpu_without,
        });
        memory.push(Point {
            x: streams,
            without: memory_without,
            added: resident - memory_without,
        });
    }
    Ok([
        Curve {
            title: "CPU of a small request, by the open streams",
            parameter: "open streams",
            unit: "µs",
            growth: Growth::Flat,
            points: requests,
        },
        Curve {
            title: "Envoy's memory, by the open streams",
            parameter: "open streams",
            unit: "MB",
            growth: Growth::Linear,
            points: memory,
        },
    ])
}

async fn workers(binaries: &Binaries, progress: &impl Fn(&str)) -> Result<Curve> {
    let mut points = Vec::new();
    for workers in WORKERS {
        progress(&format!("{workers} workers"));
        let workload = Workload {
            connections: 8,
            ..Workload::json("small", "small", 40, 60, 16).repeated(SMALL_REPEATS / 4)
        };
        let options = Options {
            workers: workers as u64,
            ..binaries.options()
        };
        points.extend(cpu_points(&[workers], &run(&options, vec![workload]).await?)?);
    }
    Ok(Curve {
        title: "CPU of a small request, by Envoy's workers",
        parameter: "workers",
        unit: "µs",
        growth: Growth::Flat,
        points,
    })
}

/// The points of a run of two variants with one workload per value.
fn cpu_points(values: &[usize], figures: &Figures) -> Result<Vec<Point>> {
    values
        .iter()
        .zip(&figures.workloads)
        .map(|(x, workload)| {
            let [without, with] = workload.variants.as_slice() else {
                return Err("a variant is missing".into());
            };
            let cpu = |slices: &Slices| slices.cpu_us.clone();
            Ok(Point {
                x: *x,
                without: Spread::of(cpu(without)).ok_or("no slices")?.median,
                added: Spread::of_differences(&cpu(with), &cpu(without))
                    .ok_or("no slices")?
                    .median,
            })
        })
        .collect()
}

// === impl Binaries ===

impl Binaries {
    fn options(&self) -> Options {
        Options {
            envoy: self.envoy.clone(),
            wasm: self.wasm.clone(),
            variants: vec![Variant::Plain, Variant::Infertally],
            workers: 1,
            rounds: self.rounds,
            held_streams: 0,
        }
    }
}

// === impl Curve ===

impl Curve {
    /// Whether the added cost grows no faster than it may, from the start of the curve to its end.
    pub fn is_met(&self) -> bool {
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            return false;
        };
        match self.growth {
            Growth::Flat => last.added <= first.added * FLAT,
            Growth::Linear => {
                // Of all earlier points, because the cost of a small value is within the noise.
                let per_unit = |point: &Point| point.added / point.x as f64;
                let earlier = self.points.iter().rev().skip(1).map(per_unit);
                per_unit(last) <= LINEAR * earlier.fold(0.0, f64::max)
            }
        }
    }

    /// The curve as the lines of a table.
    pub fn table(&self) -> String {
        let Self {
            title,
            parameter,
            unit,
            growth,
            points,
        } = self;
        let mark = if self.is_met() { "met" } else { "NOT MET" };
        let growth = match growth {
            Growth::Flat => "flat",
            Growth::Linear => "no worse than linear",
        };
        let mut text = format!(
            "\n{title} ({growth}: {mark})\n{parameter:>14}{:>18}{:>18}\n",
            "no filter", "infertally adds"
        );
        for Point { x, without, added } in points {
            text.push_str(&format!(
                "{x:>14}{:>18}{:>18}\n",
                format!("{without:.1} {unit}"),
                format!("{added:+.1} {unit}")
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(growth: Growth, added: [f64; 2]) -> Curve {
        let point = |x, added| Point {
            x,
            without: 100.0,
            added,
        };
        Curve {
            title: "",
            parameter: "",
            unit: "µs",
            growth,
            points: vec![point(10, added[0]), point(1_000, added[1])],
        }
    }

    #[test]
    fn growth_is_limited() {
        for (growth, added, met) in [
            (Growth::Flat, [20.0, 39.0], true),
            (Growth::Flat, [20.0, 41.0], false),
            (Growth::Linear, [20.0, 2_000.0], true),
            (Growth::Linear, [20.0, 20_000.0], false),
        ] {
            assert_eq!(curve(growth, added).is_met(), met, "{growth:?} {added:?}");
        }
    }
}
