//! Series and their values: a parser of Prometheus' text format, which keeps the filter's own.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A line that is not in the format, or a series that is there more than once.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

type Result<T> = std::result::Result<T, Error>;

/// A series: name and labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// The metric's name, with a histogram's suffix.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// Series and their values.
pub type Stats = BTreeMap<Series, u64>;

// === impl Series ===

impl Series {
    /// A series of this name and these labels.
    pub fn new(name: impl Into<String>, labels: &[(&str, &str)]) -> Self {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self {
            name: name.into(),
            labels,
        }
    }

    /// A label's value, empty if there is none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The series of the same labels whose name has this suffix.
    pub(crate) fn suffixed(&self, suffix: &str) -> Self {
        Self {
            name: format!("{}{suffix}", self.name),
            labels: self.labels.clone(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (name, mut rest) = text.split_once('{').unwrap_or((text, "}"));
        let mut labels = BTreeMap::new();
        while let Some((label, quoted)) = rest.trim_start_matches(',').split_once("=\"") {
            let mut value = String::new();
            let mut characters = quoted.char_indices();
            let end = loop {
                match characters.next()? {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match characters.next()?.1 {
                        'n' => '\n',
                        other => other,
                    }),
                    (_, other) => value.push(other),
                }
            };
            labels.insert(label.to_owned(), value);
            rest = quoted.get(end + 1..)?;
        }
        (rest == "}").then(|| Self {
            name: name.to_owned(),
            labels,
        })
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<_> = self
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        write!(f, "{}{{{}}}", self.name, labels.join(","))
    }
}

/// Parses the text format and keeps the filter's series.
///
/// # Errors
/// On a line of the filter's that is not in the format, and on a duplicate series.
pub fn parse(text: &str) -> Result<Stats> {
    read(text.lines().filter(|line| is_ours(line)))
}

/// Parses the text format with values that may be fractions, and keeps all series.
///
/// # Errors
/// On a line that is not in the format, and on a duplicate series.
pub fn parse_values(text: &str) -> Result<BTreeMap<Series, f64>> {
    read(text.lines().filter(|line| !line.starts_with('#')))
}

fn read<'a, V: FromStr<Err: fmt::Display>>(lines: impl Iterator<Item = &'a str>) -> Result<BTreeMap<Series, V>> {
    let mut stats = BTreeMap::new();
    for line in lines {
        let (series, value) = line.rsplit_once(' ').ok_or_else(|| format!("no value: {line}"))?;
        let series = Series::parse(series).ok_or_else(|| format!("no series: {line}"))?;
        let value = value.parse().map_err(|error| format!("{error}: {line}"))?;
        if stats.insert(series, value).is_some() {
            return Err(format!("duplicate series: {line}").into());
        }
    }
    Ok(stats)
}

/// A label without its tag ends up inside the name, so a part of the name is enough.
fn is_ours(line: &str) -> bool {
    let name = line.split(['{', ' ']).next().unwrap_or_default();
    !line.starts_with('#')
        && [
            "inference_",
            "infertally_filter",
            "normalized_time",
            "model_name",
            "wasmcustom",
        ]
        .iter()
        .any(|part| name.contains(part))
}

/// The sum of a metric over all labels.
pub fn total(stats: &Stats, name: &str) -> u64 {
    let values = stats.iter().filter(|(series, _)| series.name == name);
    values.map(|(_, value)| value).sum()
}

/// The series in which two maps differ, a line each.
pub fn difference(seen: &Stats, wanted: &Stats) -> String {
    let keys: std::collections::BTreeSet<_> = seen.keys().chain(wanted.keys()).collect();
    let show = |value: Option<&u64>| value.map_or("absent".to_owned(), u64::to_string);
    let rows: Vec<_> = keys
        .into_iter()
        .filter(|key| seen.get(key) != wanted.get(key))
        .map(|key| format!("  {key}: {}, must be {}", show(seen.get(key)), show(wanted.get(key))))
        .collect();
    rows.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_parsed_and_only_the_filters_series_are_kept() {
        let page = "# TYPE inference_a counter\ninference_a{model_name=\"x\\\"\\\\,y\",le=\"+Inf\"} 7\nenvoy_b{} 1\n\
                    inference_c 2\n";
        let stats = parse(page).unwrap();
        let expected = [
            (
                Series::new("inference_a", &[("model_name", "x\"\\,y"), ("le", "+Inf")]),
                7,
            ),
            (Series::new("inference_c", &[]), 2),
        ];
        assert_eq!(stats, expected.into());
        assert!(parse("inference_a{b=\"c} 7").is_err());
        assert!(parse("inference_c 2\ninference_c 3").is_err());
    }
}
