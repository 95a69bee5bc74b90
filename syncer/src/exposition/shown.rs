//! What the tests of families compare: the series of a page, a line each.

use super::{Family, Format, encode};

/// The page without its comments.
pub(crate) fn series(families: &[Family]) -> Vec<String> {
    let mut page = String::new();
    encode(families, Format::Text, &mut page);
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// The lines of a text that was indented to be read.
pub(crate) fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}
