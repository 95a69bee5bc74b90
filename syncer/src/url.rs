//! Validates and completes the `http` and `https` URLs of model servers and Envoys.

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// Parses the URL of a server: scheme `http` or `https`, host, no credentials; port and path are optional.
///
/// # Errors
/// What is invalid, as a phrase.
pub fn base_url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("not a URL ({error})"))?;
    match url.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => {}
        _ => return Err("not an http:// or https:// URL".to_owned()),
    }
    match url.authority() {
        Some(authority) if authority.as_str().contains('@') => Err("credentials in a URL are not supported".to_owned()),
        // `http` accepts `http://:80` and `http://host:port`, too.
        Some(authority) if authority.host().is_empty() => Err("no host".to_owned()),
        Some(authority) if authority.as_str().ends_with(':') || has_invalid_port(authority) => {
            Err("the port is not a number from 1 to 65535".to_owned())
        }
        Some(_) => Ok(url),
        None => Err("no host".to_owned()),
    }
}

/// The URL with `path`, unless it has a path or a query of its own.
pub fn with_default_path(url: &Uri, path: &PathAndQuery) -> Uri {
    if url.path() != "/" || url.query().is_some() {
        return url.clone();
    }
    let mut parts = url.clone().into_parts();
    parts.path_and_query = Some(path.clone());
    // This fails only for a URL without scheme or authority, which `base_url` does not return.
    Uri::from_parts(parts).unwrap_or_else(|_| url.clone())
}

/// `host:port`; the scheme's default port where the URL has none.
pub fn host_and_port(url: &Uri) -> String {
    let default = if url.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    format!(
        "{}:{}",
        url.host().unwrap_or_default(),
        url.port_u16().unwrap_or(default)
    )
}

fn has_invalid_port(authority: &Authority) -> bool {
    let after_host = authority.as_str().get(authority.host().len()..).unwrap_or_default();
    !after_host.is_empty() && authority.port_u16().is_none_or(|port| port == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_added_only_to_a_url_without_path_and_query() {
        for (url, expected) in [
            ("http://h:1", "http://h:1/p?q"),
            ("http://h:1/", "http://h:1/p?q"),
            ("https://h/m", "https://h/m"),
            ("http://h/?x", "http://h/?x"),
        ] {
            let url = base_url(url).unwrap();
            let path = PathAndQuery::from_static("/p?q");
            assert_eq!(with_default_path(&url, &path).to_string(), expected);
        }
    }
}
