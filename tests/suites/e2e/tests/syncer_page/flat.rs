//! The syncer's families flattened to the series that Prometheus stores, one for each bucket.

use std::collections::BTreeMap;

use infertally_harness::stats::{Series, Stats};
use infertally_syncer::exposition::{Family, Histogram, Value};

/// Every series with its value. A sum of seconds is split as Envoy's are: whole seconds, and a counter of microseconds.
pub fn flat(families: &[Family]) -> Stats {
    let mut stats = Stats::new();
    for family in families {
        for series in &family.series {
            let named = |suffix: &str, le: Option<&str>| {
                let labels = series.labels.iter().map(|(name, value)| (*name, value.as_ref()));
                let labels: Vec<_> = labels.chain(le.map(|le| ("le", le))).collect();
                Series::new(format!("{}{suffix}", family.name), &labels)
            };
            let mut put =
                |series: Series, value| assert_eq!(stats.insert(series.clone(), value), None, "duplicate {series}");
            match &series.value {
                Value::Integer(value) => put(named("", None), *value),
                Value::Float(value) => put(named("", None), whole(*value)),
                Value::Histogram(Histogram { buckets, sum, count }) => {
                    for (le, count) in buckets {
                        put(named("_bucket", Some(le)), *count);
                    }
                    put(named("_bucket", Some("+Inf")), *count);
                    put(named("_count", None), *count);
                    if let Some(stem) = family.name.strip_suffix("_seconds") {
                        let microseconds = (sum * 1e6).round();
                        assert_eq!(*sum, microseconds / 1e6, "the sum of {}", family.name);
                        let exact = Series {
                            name: format!("{stem}_microseconds_total"),
                            ..named("", None)
                        };
                        put(exact, microseconds as u64);
                        put(named("_sum", None), sum.floor() as u64);
                    } else {
                        put(named("_sum", None), whole(*sum));
                    }
                }
            }
        }
    }
    stats
}

/// The buckets of each histogram, by ascending bound.
pub fn histograms(stats: &Stats) -> Vec<Vec<u64>> {
    let mut histograms: BTreeMap<Series, Vec<(f64, u64)>> = BTreeMap::new();
    for (series, value) in stats.iter().filter(|(series, _)| series.name.ends_with("_bucket")) {
        let mut of = series.clone();
        let le = of.labels.remove("le").unwrap();
        histograms
            .entry(of)
            .or_default()
            .push((le.replace("+Inf", "inf").parse().unwrap(), *value));
    }
    let mut all = Vec::new();
    for mut buckets in histograms.into_values() {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        all.push(buckets.into_iter().map(|(_, count)| count).collect());
    }
    all
}

fn whole(value: f64) -> u64 {
    assert_eq!(value.fract(), 0.0);
    value as u64
}
