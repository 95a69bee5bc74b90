//! Families as Prometheus stores them: one series for each bucket.

use std::collections::BTreeMap;

use infertally_e2e::stats::{Series, Stats};
use infertally_syncer::exposition::{Family, Histogram, Value};

/// Every series with its value. A sum of seconds must be its exact counter's to the last digit; what is kept of it is whole
/// seconds, as an Envoy has them.
pub fn flat(families: &[Family]) -> Stats {
    let mut stats = Stats::new();
    let mut seconds = Vec::new();
    for family in families {
        for series in &family.series {
            let named = |suffix: &str, le: Option<&str>| {
                let labels = series.labels.iter().map(|(name, value)| (*name, value.as_ref()));
                let labels: Vec<_> = labels.chain(le.map(|le| ("le", le))).collect();
                Series::new(format!("{}{suffix}", family.name), &labels)
            };
            let mut put =
                |series: Series, value| assert_eq!(stats.insert(series.clone(), value), None, "{series} twice");
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
                        let exact = Series {
                            name: format!("{stem}_microseconds_total"),
                            ..named("", None)
                        };
                        seconds.push((exact, *sum));
                        put(named("_sum", None), sum.floor() as u64);
                    } else {
                        put(named("_sum", None), whole(*sum));
                    }
                }
            }
        }
    }
    for (exact, sum) in seconds {
        assert_eq!(sum, stats[&exact] as f64 / 1e6, "{exact}");
    }
    stats
}

/// The buckets of each histogram by ascending bound.
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
