//! A captured HTTP/1.1 response: its raw bytes, its HTTP chunks, and whether it is complete.

#[derive(Debug)]
pub(crate) struct Capture {
    bytes: Vec<u8>,
    /// The offset of each piece's end: the head, then each chunk with its size line and CRLF.
    ends: Vec<usize>,
    is_complete: bool,
    closes: bool,
}

// === impl Capture ===

impl Capture {
    /// `None` without a complete HTTP head.
    pub(crate) fn parse(bytes: Vec<u8>) -> Option<Self> {
        let head_end = find(&bytes, b"\r\n\r\n")?.checked_add(4)?;
        let head = std::str::from_utf8(bytes.get(..head_end)?).ok()?;
        let chunked = header(head, "transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"));
        let length: Option<usize> = header(head, "content-length").and_then(|v| v.parse().ok());
        let closes = header(head, "connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        let mut ends = vec![head_end];
        let is_complete = if chunked {
            chunks(&bytes, &mut ends)
        } else {
            // Without a length the body ends with the connection.
            length.is_some_and(|length| bytes.len().saturating_sub(head_end) == length)
        };
        if ends.last() != Some(&bytes.len()) {
            ends.push(bytes.len());
        }
        Some(Self {
            bytes,
            ends,
            is_complete,
            closes,
        })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The head, then each chunk, or the head and the body.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .filter_map(|(start, end)| self.bytes.get(start..*end))
    }

    /// Whether the framing shows the end of the response, without the end of the connection.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether the response has `connection: close`.
    pub(crate) fn closes(&self) -> bool {
        self.closes
    }
}

/// Adds the end of every complete chunk; returns whether the last one is the final chunk.
fn chunks(bytes: &[u8], ends: &mut Vec<usize>) -> bool {
    let mut at = ends.last().copied().unwrap_or_default();
    loop {
        let Some((size, line)) = bytes.get(at..).and_then(size_line) else {
            return false;
        };
        let end = at
            .checked_add(line)
            .and_then(|from| from.checked_add(size))
            .and_then(|to| to.checked_add(2));
        let Some(end) = end.filter(|end| *end <= bytes.len()) else {
            return false;
        };
        ends.push(end);
        at = end;
        if size == 0 {
            return true;
        }
    }
}

/// The size in a chunk's first line, and the length of that line.
pub(super) fn size_line(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = find(bytes, b"\r\n")?;
    let line = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let size = line.split(';').next().unwrap_or_default().trim();
    Some((usize::from_str_radix(size, 16).ok()?, end.checked_add(2)?))
}

pub(super) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// The value of the first header of this lower-case name.
pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

    fn capture(text: &str) -> Capture {
        Capture::parse(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn pieces_are_the_head_and_the_chunks() {
        let capture = capture(&format!("{HEAD}3\r\nabc\r\n0\r\n\r\n"));
        let pieces: Vec<&[u8]> = capture.pieces().collect();
        assert_eq!(pieces, [HEAD.as_bytes(), b"3\r\nabc\r\n", b"0\r\n\r\n"]);
        assert!(capture.is_complete());
    }

    #[test]
    fn a_chunked_capture_without_its_final_chunk_is_incomplete() {
        let whole = format!("{HEAD}3\r\nabc\r\n0\r\n\r\n");
        for end in HEAD.len()..whole.len() {
            let cut = capture(&whole[..end]);
            assert!(!cut.is_complete(), "{end}");
            assert_eq!(cut.pieces().collect::<Vec<_>>().concat(), &whole.as_bytes()[..end]);
        }
    }

    #[test]
    fn a_capture_with_a_content_length_is_complete_at_that_length() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n";
        assert!(capture(&format!("{head}abc")).is_complete());
        assert!(!capture(&format!("{head}ab")).is_complete());
        assert!(!capture("HTTP/1.1 200 OK\r\n\r\nabc").is_complete());
        assert!(Capture::parse(b"HTTP/1.1 200 OK\r\n".to_vec()).is_none());
    }
}
