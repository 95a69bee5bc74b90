//! [`envoy_stats::read`], which reads an Envoy's stats page, and what the syncer serves of it. Input: a body.

use infertally_syncer::aliases::{self, AliasSet};
use infertally_syncer::envoy_stats::{self, EnvoyPage};
use infertally_syncer::exposition::{Family, Histogram, Kind, Value};

use crate::body::Body;
use crate::choices::Choices;
use crate::families;
use crate::heap;

/// Heap bytes that reading takes per byte of the page, and in addition: the table's names, and per metric some room. A
/// histogram with one sample of some 60 bytes has room for all its buckets.
const HEAP_PER_BYTE: usize = 64;
const HEAP: usize = 64 * 1024;

/// Panics if a property does not hold.
pub fn check(input: &[u8]) {
    let body = Body::read(Choices(input));
    let peak = heap::peak(|| _ = envoy_stats::read([&*body.bytes]));
    let limit = HEAP + HEAP_PER_BYTE * body.bytes.len();
    assert!(peak <= limit, "{peak} bytes for a page of {}", body.bytes.len());
    let Ok(page) = body.read_in_pieces(|pieces| envoy_stats::read(pieces)) else {
        return;
    };
    assert!(page.series() <= envoy_stats::MAX_SERIES);
    let name = String::from_utf8_lossy(body.bytes.get(..16).unwrap_or(&body.bytes));
    check_served(&[("a:1", &page)], false);
    check_served(&[("a:1", &page), (&format!("{name}:2"), &page)], true);
}

/// What is served of the pages is valid, also under other names, and histograms are cumulative.
fn check_served(pages: &[(&str, &EnvoyPage)], label_envoy: bool) {
    let mut served = envoy_stats::families(pages.iter().copied(), label_envoy);
    let series = pages.iter().map(|(_, page)| page.series()).sum::<usize>();
    assert_eq!(served.iter().map(|family| family.series.len()).sum::<usize>(), series);
    served.iter().for_each(check_values);
    aliases::add(&mut served, &AliasSet::ALL);
    families::check_unique(&served);
    families::check(&served);
}

fn check_values(family: &Family) {
    for series in &family.series {
        match (&series.value, family.kind) {
            (Value::Integer(_), Kind::Counter) => {}
            (Value::Float(value), Kind::Gauge) => assert!(*value >= 0.0 && value.fract() == 0.0, "{value}"),
            (Value::Histogram(Histogram { buckets, sum, count }), Kind::Histogram) => {
                let counts = buckets.iter().map(|(_, count)| count).chain([count]);
                assert!(counts.is_sorted(), "{}: {buckets:?} {count}", family.name);
                assert!(sum.is_finite() && *sum >= 0.0, "{}: {sum}", family.name);
            }
            (value, kind) => assert_eq!(format!("{kind:?}"), format!("{value:?}"), "{}", family.name),
        }
    }
}
