use super::*;

/// The samples of a page, formatted `name [labels] value`.
fn samples(page: impl AsRef<[u8]>, format: Format) -> Result<Vec<String>, ParseError> {
    let mut lines = Vec::new();
    parse(
        [page.as_ref()],
        format,
        |_| true,
        |sample| {
            let labels: Vec<_> = sample
                .labels
                .iter()
                .map(|(name, value)| format!("{name}={value:?}"))
                .collect();
            lines.push(format!("{} [{}] {}", sample.name, labels.join(" "), sample.value));
        },
    )
    .map(|()| lines)
}

fn text(page: &str) -> Result<Vec<String>, ParseError> {
    samples(page, Format::Text)
}

fn open_metrics(page: &str) -> Result<Vec<String>, ParseError> {
    samples(page, Format::OpenMetrics)
}

#[test]
fn a_page_in_the_text_format_is_parsed() {
    let page = concat!(
        "# HELP a_total What \\\\ it is.\n# TYPE a_total counter\n#comment\n#\n\n \t\n",
        "a_total 1.0\n",
        "b{x=\"1\",y=\"zwei\"} +Inf 1795491067191\n",
        "\t b { x = \"1\" , y=\"2\" , }\t-5e-3  \n",
        "c{}NaN\n",
        "d{x=\"1\" y=\"2\"z=\"3\"} 0",
    );
    assert_eq!(
        text(page).unwrap(),
        [
            "a_total [] 1",
            "b [x=\"1\" y=\"zwei\"] inf",
            "b [x=\"1\" y=\"2\"] -0.005",
            "c [] NaN",
            "d [x=\"1\" y=\"2\" z=\"3\"] 0",
        ]
    );
}

#[test]
fn a_page_in_openmetrics_is_parsed() {
    let page = concat!(
        "# TYPE a counter\n# UNIT a_seconds seconds\n",
        "a_total{x=\"1\",} 17 1795491067.191\n",
        "a_bucket{le=\"0.1\"} 8 # {trace_id=\"abc\"} 0.067\n",
        "a_bucket{le=\"+Inf\"} 9 1.5 # {trace_id=\"a\\\"b\",} 3.0 1795491067.5\n",
        "a_created 1.5e9\n",
        "# EOF\n",
    );
    let lines = [
        "a_total [x=\"1\"] 17",
        "a_bucket [le=\"0.1\"] 8",
        "a_bucket [le=\"+Inf\"] 9",
        "a_created [] 1500000000",
    ];
    assert_eq!(open_metrics(page).unwrap(), lines);
    assert_eq!(open_metrics(page.trim_end()).unwrap(), lines);
}

#[test]
fn escapes_in_label_values_are_resolved() {
    let page = r#"a{b="q\"q",c="\\n",d="x\ny",e="\t\é\\",f=""} 1"#;
    assert_eq!(
        text(page).unwrap(),
        [format!(
            "a [b={:?} c={:?} d={:?} e={:?} f=\"\"] 1",
            "q\"q", "\\n", "x\ny", "\\t\\é\\"
        )]
    );
}

#[test]
fn names_may_be_quoted() {
    let page = "{\"my.metric\",\"my.label\"=\"1\",b=\"2\"} 1\n{b=\"2\", \"größe\"} 2\n{\"lone\"} 3\n{ \"x\" , } 4\n";
    assert_eq!(
        text(page).unwrap(),
        [
            "my.metric [my.label=\"1\" b=\"2\"] 1",
            "größe [b=\"2\"] 2",
            "lone [] 3",
            "x [] 4"
        ]
    );
    assert_eq!(open_metrics("{\"a.b\",c=\"d\"} 1\n# EOF").unwrap(), ["a.b [c=\"d\"] 1"]);
}

#[test]
fn get_returns_the_first_label_of_a_name() {
    let mut seen = Vec::new();
    parse(
        [&b"a{x=\"1\",y=\"a\\nb\",x=\"2\"} 1"[..]],
        Format::Text,
        |_| true,
        |sample| {
            seen.extend(["x", "y", "z"].map(|name| sample.labels.get(name).map(String::from)));
        },
    )
    .unwrap();
    assert_eq!(seen, [Some("1".to_owned()), Some("a\nb".to_owned()), None]);
}

#[test]
fn wanted_is_called_once_per_run_of_a_name_and_unwanted_lines_are_skipped() {
    let page = "a 1\na{x=\"y\"} 2\nab rubbish {\nab \"\x00\nabc 1\na 3\n{\"ab\"} 4\n{\"q\"} 5\n";
    let mut calls = Vec::new();
    let mut values = Vec::new();
    parse(
        [page.as_bytes()],
        Format::Text,
        |name| {
            calls.push(name);
            name != "ab"
        },
        |sample| values.push(sample.value),
    )
    .unwrap();
    assert_eq!(calls, ["a", "ab", "abc", "a", "ab", "q"]);
    assert_eq!(values, [1.0, 2.0, 1.0, 3.0, 5.0]);
}

#[test]
fn errors_report_the_line_and_what_was_expected() {
    for (page, message) in [
        ("a 1\nb\n", "line 2: expected a number, found the end of the line"),
        ("\n\n# x\n=", "line 4: expected a metric's name, found `=`"),
        ("9a 1", "line 1: expected a metric's name, found `9a 1`"),
        ("a true", "line 1: expected a number, found `true`"),
        (
            "a 1 2 3",
            "line 1: expected a timestamp or the end of the line, found `3`",
        ),
        (
            "a 1 now",
            "line 1: expected a timestamp or the end of the line, found `now`",
        ),
        ("a 1\r\n", "line 1: expected a number, found `1\\r`"),
        ("a{b='c'} 1", "line 1: expected a value in quotes, found `'c'} 1`"),
        (
            "a{b=\"c} 1\n",
            "line 1: expected a closing quote in the same line, found `\"c} 1`",
        ),
        (
            "a{b=\"c\\",
            "line 1: expected a closing quote in the same line, found `\"c\\\\`",
        ),
        ("a{b} 1", "line 1: expected `=`, found `} 1`"),
        ("a{=\"c\"} 1", "line 1: expected a label's name, found `=\"c\"} 1`"),
        (
            "a{b=\"c\",,d=\"e\"} 1",
            "line 1: expected a label's name, found `,d=\"e\"} 1`",
        ),
        (
            "a{b=\"c\"",
            "line 1: expected a label's name, found the end of the line",
        ),
        ("a{\"b\"} 1", "line 1: expected `=`, found `} 1`"),
        ("{\"a\",\"b\"} 1", "line 1: expected `=`, found `} 1`"),
        ("{\"a\" b=\"c\"} 1", "line 1: expected `=`, found `b=\"c\"} 1`"),
        (
            "{b=\"c\"} 1",
            "line 1: expected a metric's name before or in the braces, found ` 1`",
        ),
        (
            "a 1 # {b=\"c\"} 1",
            "line 1: expected a timestamp or the end of the line, found `# {b=\"c\"} 1`",
        ),
        ("\u{feff}a 1", "line 1: expected a metric's name, found `\\u{feff}a 1`"),
        (
            "[{\"iter\": 1}]",
            "line 1: expected a metric's name, found `[{\"iter\": 1}]`",
        ),
    ] {
        assert_eq!(text(page).unwrap_err().to_string(), message, "{page:?}");
    }
    assert_eq!(text("a 1\n\nb x").unwrap_err().line(), 3);
}

#[test]
fn errors_in_openmetrics_report_the_line_and_what_was_expected() {
    for (page, message) in [
        ("", "line 1: expected `# EOF`, found the end of the line"),
        ("a 1\n", "line 2: expected `# EOF`, found the end of the line"),
        ("# EOF\na 1", "line 2: expected nothing after `# EOF`, found `a 1`"),
        ("# EOF\na 1\nb 2", "line 2: expected nothing after `# EOF`, found `a 1`"),
        ("\n# EOF", "line 1: expected a metric's name, found the end of the line"),
        (" a 1\n# EOF", "line 1: expected a metric's name, found ` a 1`"),
        ("a  1\n# EOF", "line 1: expected a number, found ` 1`"),
        (
            "a{b=\"c\", d=\"e\"} 1\n# EOF",
            "line 1: expected a label's name, found ` d=\"e\"} 1`",
        ),
        (
            "a{b=\"c\"d=\"e\"} 1\n# EOF",
            "line 1: expected `,` or `}`, found `d=\"e\"} 1`",
        ),
        (
            "a 1 # {b=c} 1\n# EOF",
            "line 1: expected a value in quotes, found `c} 1`",
        ),
        ("a 1 # {\"b\"} 1\n# EOF", "line 1: expected `=`, found `} 1`"),
        (
            "a 1 # {b=\"c\"}\n# EOF",
            "line 1: expected a blank and a number, found the end of the line",
        ),
        (
            "a 1 NaN\n# EOF",
            "line 1: expected a timestamp or the end of the line, found ` NaN`",
        ),
    ] {
        assert_eq!(open_metrics(page).unwrap_err().to_string(), message, "{page:?}");
    }
}

#[test]
fn invalid_utf8_is_an_error_only_in_wanted_lines() {
    let error = samples(b"b 1\na{x=\"\xff\"} 1\n", Format::Text).unwrap_err();
    assert_eq!(error.to_string(), "line 2: expected UTF-8, found `\u{fffd}\"} 1`");
    let error = samples(b"a\xff 1\n", Format::Text).unwrap_err();
    assert_eq!(error.to_string(), "line 1: expected UTF-8, found `\u{fffd} 1`");
    let page = b"# HELP b \xff\nb{x=\"\xff\"} 1\na 1\n";
    let mut values = Vec::new();
    parse(
        [&page[..]],
        Format::Text,
        |name| name == "a",
        |sample| values.push(sample.value),
    )
    .unwrap();
    assert_eq!(values, [1.0]);
}

#[test]
fn a_line_of_a_megabyte_is_parsed_and_its_error_is_short() {
    let value = "ü".repeat(500_000);
    let page = format!("a{{x=\"{value}\"}} 1\n");
    assert_eq!(text(&page).unwrap().len(), 1);
    let error = text(&format!("a {value}")).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("line 1: expected a number, found `{}`…", "ü".repeat(MAX_QUOTE))
    );
    let labels = "x=\"\",".repeat(200_000);
    assert_eq!(text(&format!("a{{{labels}}} 1\n")).unwrap().len(), 1);
}

#[test]
fn samples_before_an_error_are_returned() {
    let mut values = Vec::new();
    let error = parse(
        [&b"a 1\nb 2\nc x\nd 4\n"[..]],
        Format::Text,
        |_| true,
        |sample| values.push(sample.value),
    );
    assert_eq!(error.unwrap_err().line(), 3);
    assert_eq!(values, [1.0, 2.0]);
}
