//! The URL that an Envoy's stats are requested with. Pure.

use http::Uri;

/// The path of an Envoy's stats in the text format.
const STATS_PATH: &str = "/stats/prometheus";
/// Selects the filter's stats: `filter=^wasmcustom\.`, URL-encoded. Envoy matches it (RE2, anywhere) with the name of a stat
/// before its tags are extracted and before it is renamed for Prometheus, and every metric of a Wasm filter begins with
/// `wasmcustom.` there. Envoy renders the page on its main thread, and its own stats are ten times as many.
const FILTER: &str = "filter=%5Ewasmcustom%5C.";

/// The URL of the filter's metrics for the URL of an Envoy: its own path, else `/stats/prometheus`, and the parameter
/// `filter`, unless it has one of its own. A server that ignores the parameter, such as Istio's agent on port 15020, sends
/// the whole page, which [`read`](super::read) accepts as well.
pub fn stats_url(envoy: &Uri) -> Uri {
    let path = match envoy.path() {
        "" | "/" => STATS_PATH,
        path => path,
    };
    let query = match envoy.query() {
        None | Some("") => FILTER.to_owned(),
        Some(query)
            if query
                .split('&')
                .any(|part| part == "filter" || part.starts_with("filter=")) =>
        {
            query.to_owned()
        }
        Some(query) => format!("{query}&{FILTER}"),
    };
    let mut parts = envoy.clone().into_parts();
    parts.path_and_query = format!("{path}?{query}").parse().ok();
    // Both are valid, because `envoy` has a scheme, a host and a valid query.
    Uri::from_parts(parts).unwrap_or_else(|_| envoy.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_stats_are_selected_unless_the_url_selects_others() {
        for (envoy, expected) in [
            ("http://h:1", "http://h:1/stats/prometheus?filter=%5Ewasmcustom%5C."),
            ("http://h:1/", "http://h:1/stats/prometheus?filter=%5Ewasmcustom%5C."),
            ("http://h:1/?", "http://h:1/stats/prometheus?filter=%5Ewasmcustom%5C."),
            (
                "https://[::1]:1/metrics",
                "https://[::1]:1/metrics?filter=%5Ewasmcustom%5C.",
            ),
            (
                "http://h:1/stats?format=prometheus",
                "http://h:1/stats?format=prometheus&filter=%5Ewasmcustom%5C.",
            ),
            (
                "http://h:1/?usedonly",
                "http://h:1/stats/prometheus?usedonly&filter=%5Ewasmcustom%5C.",
            ),
            (
                "http://h:1/?filter=inference",
                "http://h:1/stats/prometheus?filter=inference",
            ),
            ("http://h:1/s?a&filter=", "http://h:1/s?a&filter="),
            ("http://h:1/s?filter", "http://h:1/s?filter"),
            (
                "http://h:1/s?myfilter=1",
                "http://h:1/s?myfilter=1&filter=%5Ewasmcustom%5C.",
            ),
        ] {
            assert_eq!(stats_url(&envoy.parse().unwrap()).to_string(), expected, "{envoy}");
        }
    }
}
