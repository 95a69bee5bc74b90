//! Content negotiation of the page: the format by `Accept`, gzip by `Accept-Encoding` (RFC 9110, sections 12.5.1 and
//! 12.5.3).
//!
//! No client gets 406: one that accepts none of our formats gets text 0.0.4, as from every exporter. A malformed element
//! of a header is ignored.

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, AsHeaderName};

use crate::exposition::Format;

/// A weight in thousandths, the precision of the standard.
type Weight = u16;

const FULL: Weight = 1000;

/// The format with the higher weight; text if both have the same.
pub fn format(headers: &HeaderMap) -> Format {
    let text = weight_of(Format::Text, headers);
    let open_metrics = weight_of(Format::OpenMetrics, headers);
    if open_metrics > text {
        Format::OpenMetrics
    } else {
        Format::Text
    }
}

/// Whether the client accepts gzip with no less weight than identity.
pub fn gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity, mut rest) = (None, None, None);
    for item in items(headers, ACCEPT_ENCODING) {
        let slot = match item.name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => &mut gzip,
            "identity" => &mut identity,
            "*" => &mut rest,
            _ => continue,
        };
        *slot = (*slot).max(Some(item.weight));
    }
    // An identity that is not listed is acceptable, with the least weight.
    let gzip = gzip.or(rest).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// The weight of the most specific range that matches the format; of several, the highest.
fn weight_of(format: Format, headers: &HeaderMap) -> Weight {
    let (media_type, group, version) = match format {
        Format::Text => ("text/plain", "text/*", "0.0.4"),
        Format::OpenMetrics => ("application/openmetrics-text", "application/*", "1.0.0"),
    };
    items(headers, ACCEPT)
        .filter_map(|item| {
            let specific = if item.name.eq_ignore_ascii_case(media_type) {
                match item.parameter("version") {
                    Some(wanted) if wanted == version => 3,
                    Some(_) => return None,
                    None => 2,
                }
            } else if item.name.eq_ignore_ascii_case(group) {
                1
            } else if item.name == "*/*" {
                0
            } else {
                return None;
            };
            Some((specific, item.weight))
        })
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
fn items(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = Item<'_>> {
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
                item.weight = weight(written)?;
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
}

/// `0`, `1`, or either with up to three decimals, and not above 1.
fn weight(written: &str) -> Option<Weight> {
    let (whole, decimals) = written.split_once('.').unwrap_or((written, ""));
    if !matches!(whole, "0" | "1") || decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths: Weight = format!("{whole}{decimals:0<3}").parse().ok()?;
    (thousandths <= FULL).then_some(thousandths)
}

#[cfg(test)]
mod tests;
