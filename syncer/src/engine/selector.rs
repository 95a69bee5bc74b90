//! [`Selector`], a metric that the user names, in the form `name{label=value}`.

use std::str::FromStr;

/// Bytes of a selector, which is one argument of a flag.
const MAX_LENGTH: usize = 1024;

/// A metric name and label matchers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    name: String,
    labels: Vec<(String, String)>,
}

/// Why a text is not a selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid metric {text:?}: {problem}; expected name or name{{label=value,…}}")]
pub struct SelectorError {
    text: String,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("{0:?} is not a metric name")]
    Name(String),
    #[error("{0:?} is not a label name")]
    Label(String),
    #[error("label {0} has no `=`")]
    NoEqualsSign(String),
    #[error("the value of label {0} has no closing quote")]
    UnclosedQuote(String),
    #[error("the value of label {0} contains a quote, a brace or a backslash")]
    Value(String),
    #[error("no closing brace at the end")]
    UnclosedBrace,
    #[error("expected a comma before {0:?}")]
    NoComma(String),
    #[error("longer than {MAX_LENGTH} bytes")]
    TooLong,
}

// === impl Selector ===

impl Selector {
    /// The sample's complete name, including suffixes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The labels that a series must have. An empty value matches an absent label.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |problem| SelectorError {
            text: text.chars().take(MAX_LENGTH).collect(),
            problem,
        };
        if text.len() > MAX_LENGTH {
            return Err(error(Problem::TooLong));
        }
        let (name, labels) = match text.trim().split_once('{') {
            None => (text.trim(), ""),
            Some((name, labels)) => (
                name,
                labels.strip_suffix('}').ok_or_else(|| error(Problem::UnclosedBrace))?,
            ),
        };
        if !is_name(name, ":") {
            return Err(error(Problem::Name(name.to_owned())));
        }
        Ok(Self {
            name: name.to_owned(),
            labels: parse_labels(labels).map_err(error)?,
        })
    }
}

fn parse_labels(text: &str) -> Result<Vec<(String, String)>, Problem> {
    let mut labels = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest
            .split_once('=')
            .ok_or_else(|| Problem::NoEqualsSign(rest.to_owned()))?;
        let name = name.trim();
        if !is_name(name, "") {
            return Err(Problem::Label(name.to_owned()));
        }
        let after = after.trim_start();
        let (value, after) = match after.strip_prefix('"') {
            Some(after) => after
                .split_once('"')
                .ok_or_else(|| Problem::UnclosedQuote(name.to_owned()))?,
            None => {
                let (value, after) = after.split_at(after.find(',').unwrap_or(after.len()));
                if value.contains(['"', '{', '}']) {
                    return Err(Problem::Value(name.to_owned()));
                }
                (value.trim(), after)
            }
        };
        if value.contains('\\') {
            return Err(Problem::Value(name.to_owned()));
        }
        labels.push((name.to_owned(), value.to_owned()));
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if after.is_empty() => after,
            None => return Err(Problem::NoComma(after.to_owned())),
        };
    }
    Ok(labels)
}

fn is_name(text: &str, extra: &str) -> bool {
    let in_name = |character: char| character.is_ascii_alphanumeric() || character == '_' || extra.contains(character);
    text.chars().all(in_name) && !text.is_empty() && !text.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (String, Vec<(String, String)>) {
        let Selector { name, labels } = text.parse().unwrap();
        (name, labels)
    }

    #[test]
    fn a_selector_is_a_name_and_labels() {
        let labels = |labels: &[(&str, &str)]| -> Vec<(String, String)> {
            labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        for (text, name, expected) in [
            ("vllm:num_requests_waiting", "vllm:num_requests_waiting", labels(&[])),
            (" queue_size{} ", "queue_size", labels(&[])),
            (
                "nv_trt_llm_request_metrics{request_type=waiting}",
                "nv_trt_llm_request_metrics",
                labels(&[("request_type", "waiting")]),
            ),
            ("q{a=b,c=\"d, e\"}", "q", labels(&[("a", "b"), ("c", "d, e")])),
            ("q{ a = b , c = \"{x}\" , }", "q", labels(&[("a", "b"), ("c", "{x}")])),
            ("q{priority=}", "q", labels(&[("priority", "")])),
            ("q{priority=\"\"}", "q", labels(&[("priority", "")])),
        ] {
            assert_eq!(parse(text), (name.to_owned(), expected), "{text}");
        }
    }

    #[test]
    fn an_invalid_selector_is_rejected_with_its_cause() {
        for (text, problem) in [
            ("", "\"\" is not a metric name"),
            ("9lives", "\"9lives\" is not a metric name"),
            ("my.metric", "\"my.metric\" is not a metric name"),
            ("{a=b}", "\"\" is not a metric name"),
            ("q{a=b", "no closing brace at the end"),
            ("q{a=b}c", "no closing brace at the end"),
            ("q{a}", "label a has no `=`"),
            ("q{a:b=c}", "\"a:b\" is not a label name"),
            ("q{=c}", "\"\" is not a label name"),
            ("q{a=\"b}", "the value of label a has no closing quote"),
            ("q{a=\"b\"c=d}", "expected a comma before \"c=d\""),
            (
                "q{a=b{c}",
                "the value of label a contains a quote, a brace or a backslash",
            ),
            (
                "q{a=\"b\\n\"}",
                "the value of label a contains a quote, a brace or a backslash",
            ),
        ] {
            let error = text.parse::<Selector>().unwrap_err().to_string();
            assert_eq!(
                error,
                format!("invalid metric {text:?}: {problem}; expected name or name{{label=value,…}}")
            );
        }
        let error = "q".repeat(MAX_LENGTH + 1).parse::<Selector>().unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with(": longer than 1024 bytes; expected name or name{label=value,…}")
        );
    }
}
