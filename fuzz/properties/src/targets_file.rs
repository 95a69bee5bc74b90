//! [`file::parse`], the parser of a targets file. Input: a body.

use std::path::Path;

use infertally_syncer::discovery::file;
use infertally_syncer::engine::ServerLoad;
use infertally_syncer::error_chain;
use infertally_syncer::target::{MAX_TARGETS, Target, check as check_targets};

use crate::body::Body;
use crate::choices::Choices;
use crate::families;

/// Seeds of the corpus, by name.
pub const FILES: [(&str, &str); 4] = [
    (
        "complete",
        "# a comment\n\npod-a=http://10.0.0.1:8000\n  http://10.0.0.2:8000/metrics?x=y \r\n\tc=https://[::1] role=decode\n",
    ),
    ("defaults", "http://a\nhttps://a\nhttp://b role=prefill"),
    ("duplicate", "a=http://h:1\na=http://h:2\n"),
    (
        "invalid",
        "a=http://h:1\nb=h\nhttp://u:p@h:1\nhttp://h:0\nhttp://h role=-\n",
    ),
];
/// Targets of which the page is checked.
const MAX_SERVED: usize = 50;
/// Bytes of an error as it is logged, whatever is in the file.
const MAX_ERROR: usize = 2048;

/// Panics if a property does not hold.
pub fn check(input: &[u8]) {
    let bytes = Body::read(Choices(input)).bytes;
    let text = String::from_utf8_lossy(&bytes);
    let path = Path::new("targets");
    let targets = match file::parse(&text, path) {
        Ok(targets) => targets,
        Err(error) => {
            let error = error_chain(&error);
            assert!(!error.contains(char::is_control), "{error:?}");
            assert!(error.len() <= MAX_ERROR, "{} bytes: {error}", error.len());
            return;
        }
    };
    assert!(targets.len() <= MAX_TARGETS && check_targets(&targets).is_ok());
    let is_target = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with('#');
    assert_eq!(targets.len(), text.lines().filter(is_target).count(), "{text}");
    let lines: String = targets.iter().map(line).collect();
    assert_eq!(file::parse(&lines, path).ok().as_ref(), Some(&targets), "{lines}");
    families::check_pool(targets.into_iter().take(MAX_SERVED).collect(), &ServerLoad::default());
}

/// The target as a line of a file.
fn line(target: &Target) -> String {
    let Target {
        name,
        url,
        ready,
        engine,
        role,
    } = target;
    assert!(!name.is_empty() && ready.is_none() && engine.is_none());
    let scheme = url.as_ref().and_then(|url| url.scheme_str());
    let host = url.as_ref().and_then(|url| url.host());
    assert!(matches!(scheme, Some("http" | "https")), "{url:?}");
    assert!(host.is_some_and(|host| !host.is_empty()), "{url:?}");
    let url = url.as_ref().map(ToString::to_string).unwrap_or_default();
    let role = role.as_ref().map(|role| format!(" role={}", role.label()));
    // The name of a target without one has a colon, and a name that is given has none.
    match name.contains(':') {
        true => format!("{url}{}\n", role.unwrap_or_default()),
        false => format!("{name}={url}{}\n", role.unwrap_or_default()),
    }
}
