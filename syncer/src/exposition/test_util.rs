//! Helpers of tests that compare series line by line.

use super::{Family, Format, encode};

/// The page of `families` without its comments, by lines.
pub(crate) fn series(families: &[Family]) -> Vec<String> {
    let mut page = String::new();
    encode(families, Format::Text, &mut page);
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// The lines of an indented text.
pub(crate) fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}
