//! A table of lines, and whether Prometheus' scraper and our parser accept each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests panic on failure"
)]

use infertally_syncer::exposition::{Format, parse};

use crate::pages::Page;
use crate::prometheus::Prometheus;

use AcceptedBy::{Both, Neither, Prometheus as OnlyPrometheus, Syncer as OnlySyncer};

/// Which parsers accept a page with the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AcceptedBy {
    Both,
    Neither,
    Syncer,
    Prometheus,
}

/// The line, and which parsers accept it in the text format and in OpenMetrics.
const LINES: &[(&[u8], AcceptedBy, AcceptedBy)] = &[
    (b"a 1", Both, Both),
    (b"a:b_c9 1", Both, Both),
    (b":a 1", Both, Both),
    (b"9a 1", Neither, Neither),
    (b"a-b 1", Neither, Neither),
    (b"a.b 1", Neither, Neither),
    (b"a", Neither, Neither),
    (b"= 1", Neither, Neither),
    (b"\xef\xbb\xbfa 1", Neither, Neither),
    // Blanks.
    (b"a  1", Both, Neither),
    (b"a\t1", Both, Neither),
    (b"a 1 ", Both, Neither),
    (b"a 1\t", Both, Neither),
    (b"a 1\r", Neither, Neither),
    (b"\t{b=\"c\"} 1", Neither, Neither),
    (b"a {b=\"c\"} 1", Both, Neither),
    (b"a{ b = \"c\" } 1", Both, Neither),
    (b"a{b=\"c\", d=\"e\"} 1", Both, Neither),
    (b"a{b=\"c\"}1", Both, Neither),
    (b"", Both, Neither),
    (b" \t", Both, Neither),
    // Labels.
    (b"a{} 1", Both, Both),
    (b"a{b=\"\"} 1", Both, Both),
    (b"a{b=\"c\",} 1", Both, Both),
    (b"a{b=\"c\",d=\"e\"} 1", Both, Both),
    (b"a{b=\"c\" d=\"e\"} 1", Both, Neither),
    (b"a{b=\"c\"d=\"e\"} 1", Both, Neither),
    (b"a{,} 1", Neither, Neither),
    (b"a{,b=\"c\"} 1", Neither, Neither),
    (b"a{b=\"c\",,d=\"e\"} 1", Neither, Neither),
    (b"a{b='c'} 1", Neither, Neither),
    (b"a{b=c} 1", Neither, Neither),
    (b"a{b=\"c\" 1", Neither, Neither),
    (b"a{b=\"c} 1", Neither, Neither),
    (b"a{b} 1", Neither, Neither),
    (b"a{=\"c\"} 1", Neither, Neither),
    (b"a{9b=\"c\"} 1", Neither, Neither),
    (b"a{b:c=\"d\"} 1", Neither, Neither),
    (b"a{b=\"c\"}{d=\"e\"} 1", Neither, Neither),
    (b"{b=\"c\"} 1", Neither, Neither),
    // Labels are read by name, and the first one of a name is used.
    (b"a{b=\"c\",b=\"d\"} 1", OnlySyncer, OnlySyncer),
    // Escapes and non-ASCII characters.
    (b"a{b=\"\\\\ \\\" \\n\"} 1", Both, Both),
    (b"a{b=\"\\t\\x\"} 1", Both, Both),
    (b"a{b=\"c\\\"} 1", Neither, Neither),
    (b"a{b=\"\xc3\xbc\"} 1", Both, Both),
    (b"a{b=\"\xff\"} 1", Neither, Neither),
    (b"a\xc3\xbc 1", Neither, Neither),
    // Both specifications forbid it, and lines could not be skipped.
    (b"a{b=\"c\nd\"} 1", OnlyPrometheus, Neither),
    // Values.
    (b"a -1.5e-3", Both, Both),
    (b"a +1", Both, Both),
    (b"a .5", Both, Both),
    (b"a 5.", Both, Both),
    (b"a 1E5", Both, Both),
    (b"a NaN", Both, Both),
    (b"a nan", Both, Both),
    (b"a Inf", Both, Both),
    (b"a +Inf", Both, Both),
    (b"a -infinity", Both, Both),
    (b"a +NaN", Neither, Neither),
    (b"a 1e400", Neither, Neither),
    (b"a 0x10", Neither, Neither),
    (b"a 0x1p-3", Neither, Neither),
    (b"a 1_000", Neither, Neither),
    (b"a 1,5", Neither, Neither),
    (b"a true", Neither, Neither),
    (b"a .", Neither, Neither),
    (b"a {", Neither, Neither),
    // Timestamps.
    (b"a 1 1795491067191", Both, Both),
    (b"a 1 1795491067.191", Neither, Both),
    (b"a 1 -1", Neither, Both),
    (b"a 1 1e3", Neither, Both),
    (b"a 1 99999999999999999999", Neither, Both),
    (b"a 1 now", Neither, Neither),
    (b"a 1 NaN", Neither, Neither),
    (b"a 1 2 3", Neither, Neither),
    // Exemplars.
    (b"a_total 1 # {b=\"c\"} 0.5", Neither, Both),
    (b"a_total 1 # {b=\"c\"} 0.5 1795491067.191", Neither, Both),
    (b"a_total 1 1795491067.191 # {b=\"c\",} 0.5", Neither, Both),
    (b"a_total 1 # {} 0.5", Neither, Both),
    (b"a_total 1 # {b=\"c\"}", Neither, Neither),
    (b"a_total 1 # {b=c} 1", Neither, Neither),
    (b"a_total 1 # {b=\"c\"} x", Neither, Neither),
    (b"a_total 1 # b", Neither, Neither),
    // Comments are skipped by our parser.
    (b"# HELP a What it is.", Both, Both),
    (b"# TYPE a gauge", Both, Both),
    (b"# TYPE a untyped", Both, OnlySyncer),
    (b"# TYPE a colour", OnlySyncer, OnlySyncer),
    (b"# TYPE", Both, OnlySyncer),
    (b"# a comment", Both, OnlySyncer),
    (b"#comment", Both, OnlySyncer),
    (b"#", Both, OnlySyncer),
];

/// A page for each line, which is between two valid ones.
fn pages(format: Format) -> impl Iterator<Item = Vec<u8>> {
    LINES.iter().map(move |(line, ..)| match format {
        Format::Text => [b"x 1\n", *line, b"\ny 1\n"].concat(),
        Format::OpenMetrics => [b"x 1\n", *line, b"\ny 1\n# EOF\n"].concat(),
    })
}

fn accepted_by(case: usize, format: Format) -> AcceptedBy {
    match format {
        Format::Text => LINES[case].1,
        Format::OpenMetrics => LINES[case].2,
    }
}

#[test]
fn the_parser_accepts_lines_according_to_the_table() {
    for format in [Format::Text, Format::OpenMetrics] {
        for (case, page) in pages(format).enumerate() {
            let result = parse([&*page], format, |_| true, |sample| _ = sample.labels.iter().count());
            let expected = matches!(accepted_by(case, format), Both | OnlySyncer);
            assert_eq!(
                result.is_ok(),
                expected,
                "{format:?} {}: {result:?}",
                LINES[case].0.escape_ascii()
            );
        }
    }
}

#[test]
fn prometheus_accepts_lines_according_to_the_table() {
    let pages: Vec<_> = [Format::Text, Format::OpenMetrics]
        .into_iter()
        .flat_map(|format| pages(format).map(move |page| Page::new(format, page)))
        .collect();
    let prometheus = Prometheus::scraping(&pages);
    let mut differences = Vec::new();
    for (labels, up) in prometheus.query("up") {
        let case: usize = labels["case"].as_str().unwrap().parse().unwrap();
        let format = if case < LINES.len() {
            Format::Text
        } else {
            Format::OpenMetrics
        };
        let accepted_by = accepted_by(case % LINES.len(), format);
        if (up == "1") != matches!(accepted_by, Both | OnlyPrometheus) {
            differences.push(format!(
                "{format:?} {}: {accepted_by:?}, up {up}",
                LINES[case % LINES.len()].0.escape_ascii()
            ));
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}
