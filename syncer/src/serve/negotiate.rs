//! Content negotiation of the page: the media type by `Accept`, gzip by `Accept-Encoding` (RFC 9110, sections 12.5.1 and
//! 12.5.3).
//!
//! No client gets 406: one that accepts none of our formats gets text 0.0.4, as from every exporter. A malformed element
//! of a header is ignored.

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderName};

use crate::exposition::{Format, MediaType};

/// A weight in thousandths, the precision of the standard.
type Weight = u16;

const FULL: Weight = 1000;

/// The media type with the highest weight; of several, text, then OpenMetrics.
pub fn media_type(headers: &HeaderMap) -> MediaType {
    let text = weight(headers, ACCEPT, |range| range.matches("text/plain", "text/*", "0.0.4"));
    let open_metrics = weight(headers, ACCEPT, |range| {
        range.matches("application/openmetrics-text", "application/*", "1.0.0")
    });
    let protobuf = weight(headers, ACCEPT, |range| range.matches_protobuf());
    if protobuf > text.max(open_metrics) {
        MediaType::Protobuf
    } else if open_metrics > text {
        MediaType::Text(Format::OpenMetrics)
    } else {
        MediaType::Text(Format::Text)
    }
}

/// Whether the client accepts gzip with no less weight than identity.
pub fn gzip(headers: &HeaderMap) -> bool {
    let gzip = weight(headers, ACCEPT_ENCODING, |coding| {
        match coding.name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(1),
            "*" => Some(0),
            _ => None,
        }
    });
    // An identity that is not listed is acceptable, with the least weight.
    let identity = weight(headers, ACCEPT_ENCODING, |coding| {
        coding.name.eq_ignore_ascii_case("identity").then_some(0)
    });
    gzip > 0 && gzip >= identity
}

/// The weight of the most specific element that matches; of several, the highest.
fn weight(headers: &HeaderMap, name: HeaderName, specificity: impl Fn(&Item) -> Option<u8>) -> Weight {
    items(headers, name)
        .filter_map(|item| Some((specificity(&item)?, item.weight)))
        .max()
        .map_or(0, |(_, weight)| weight)
}

/// One element of a header's list: `name; parameter=value; q=0.5`.
struct Item<'a> {
    name: &'a str,
    parameters: &'a str,
    weight: Weight,
}

/// The elements of all headers of the name that have a valid weight.
fn items(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = Item<'_>> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|element| {
            let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
            let mut item = Item {
                name: name.trim(),
                parameters,
                weight: FULL,
            };
            if let Some(written) = item.parameter("q") {
                item.weight = parse_weight(written)?;
            }
            Some(item)
        })
}

// === impl Item ===

impl<'a> Item<'a> {
    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters
            .split(';')
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().trim_matches('"'))
    }

    /// How specifically a media range names this version of the type, if it does.
    fn matches(&self, media_type: &str, group: &str, version: &str) -> Option<u8> {
        if self.name.eq_ignore_ascii_case(media_type) {
            return match self.parameter("version") {
                Some(wanted) => (wanted == version).then_some(3),
                None => Some(2),
            };
        }
        self.matches_group(group)
    }

    /// How specifically a media range names length-delimited metric families. The type alone does not: it is that of every
    /// protobuf message.
    fn matches_protobuf(&self) -> Option<u8> {
        if self.name.eq_ignore_ascii_case("application/vnd.google.protobuf") {
            let is = |name, value| self.parameter(name) == Some(value);
            return (is("proto", "io.prometheus.client.MetricFamily") && is("encoding", "delimited")).then_some(3);
        }
        self.matches_group("application/*")
    }

    fn matches_group(&self, group: &str) -> Option<u8> {
        if self.name.eq_ignore_ascii_case(group) {
            return Some(1);
        }
        (self.name == "*/*").then_some(0)
    }
}

/// `0`, `1`, or either with up to three decimals, and not above 1.
fn parse_weight(written: &str) -> Option<Weight> {
    let (whole, decimals) = written.split_once('.').unwrap_or((written, ""));
    if !matches!(whole, "0" | "1") || decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths: Weight = format!("{whole}{decimals:0<3}").parse().ok()?;
    (thousandths <= FULL).then_some(thousandths)
}

#[cfg(test)]
mod tests;
