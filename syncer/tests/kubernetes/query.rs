//! The query parameters of a list or watch request.

use http::Uri;
use serde_json::Value;

/// The parsed parameters.
#[derive(Clone, Debug)]
pub struct Query {
    pub watch: bool,
    pub revision: u64,
    pub limit: usize,
    /// The last name of the previous page.
    pub after: Option<String>,
    labels: Vec<(String, String)>,
    name: Option<String>,
}

// === impl Query ===

impl Query {
    pub fn of(uri: &Uri) -> Self {
        let parameter = |name: &str| {
            let parts = uri.query()?.split('&').filter_map(|part| part.split_once('='));
            parts
                .into_iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| decode(value))
        };
        let number = |name: &str| parameter(name).and_then(|value| value.parse::<u64>().ok());
        Self {
            watch: parameter("watch").as_deref() == Some("true"),
            revision: number("resourceVersion").unwrap_or(0),
            limit: number("limit").map_or(usize::MAX - 1, |limit| limit as usize),
            after: parameter("continue"),
            labels: parameter("labelSelector").map_or_else(Vec::new, |selector| {
                let pairs = selector.split(',').map(|pair| pair.split_once('=').expect("key=value"));
                pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
            }),
            name: parameter("fieldSelector")
                .map(|field| field.strip_prefix("metadata.name=").expect("a name").to_owned()),
        }
    }
}

/// Whether an object matches the selectors.
pub fn matches(query: &Query, object: &Value) -> bool {
    let metadata = &object["metadata"];
    query.name.as_deref().is_none_or(|name| metadata["name"] == name)
        && query
            .labels
            .iter()
            .all(|(key, value)| metadata["labels"][key] == value.as_str())
}

fn decode(text: &str) -> String {
    text.replace("%3D", "=").replace("%2C", ",").replace("%2F", "/")
}
