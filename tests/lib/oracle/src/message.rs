//! A parser of HTTP/1.1 messages that keeps what a proxy could change: the order of headers, trailers, and how the body
//! ends.

/// Headers or trailers in order, names in lower case.
pub type Fields = Vec<(String, String)>;

/// The kind of a message, on which its framing depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request.
    Request,
    /// A response.
    Response,
    /// The response to a `HEAD`: it has no body, whatever its headers say.
    ResponseToHead,
}

/// What ends a message's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    Bodiless,
    /// `content-length`.
    Length(usize),
    /// The last chunk.
    Chunked,
    /// The end of the connection.
    Close,
}

/// A message, as far as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The first line.
    pub line: String,
    /// Its headers.
    pub headers: Fields,
    /// What ends the body.
    pub framing: Framing,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// The fields after the last chunk.
    pub trailers: Fields,
    /// Whether its end was received; never true of a body that ends with the connection.
    pub complete: bool,
}

// === impl Message ===

impl Message {
    /// Parses the first message of some bytes, and returns its length, too; `None` until its head is complete.
    pub fn parse(bytes: &[u8], kind: Kind) -> Option<(Self, usize)> {
        let head = position(bytes, b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(bytes.get(..head)?).into_owned();
        let (line, rest) = text.split_once("\r\n").unwrap_or((&text, ""));
        let headers = fields(rest);
        let framing = framing(line, &headers, kind)?;
        let after = bytes.get(head + 4..)?;
        let mut message = Self {
            line: line.to_owned(),
            headers,
            framing,
            body: Vec::new(),
            trailers: Fields::new(),
            complete: false,
        };
        let used = match framing {
            Framing::Bodiless => Some(0),
            Framing::Length(length) => {
                message.body = after.get(..length).unwrap_or(after).to_vec();
                (after.len() >= length).then_some(length)
            }
            Framing::Chunked => message.dechunk(after),
            Framing::Close => {
                message.body = after.to_vec();
                None
            }
        };
        message.complete = used.is_some();
        Some((message, head + 4 + used.unwrap_or(after.len())))
    }

    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    /// A response's status; 0 if there is none.
    pub fn status(&self) -> u16 {
        status(&self.line).unwrap_or_default()
    }

    /// Decodes the chunks as far as they were received, and returns their length once the last one is there.
    fn dechunk(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        loop {
            let end = position(rest, b"\r\n")?;
            let size = std::str::from_utf8(rest.get(..end)?).ok()?;
            let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
            rest = rest.get(end + 2..)?;
            if size == 0 {
                break;
            }
            self.body.extend_from_slice(rest.get(..size).unwrap_or(rest));
            rest = rest.get(size + 2..)?;
        }
        let trailers = if rest.starts_with(b"\r\n") {
            2
        } else {
            let end = position(rest, b"\r\n\r\n")?;
            self.trailers = fields(&String::from_utf8_lossy(rest.get(..end)?));
            end + 4
        };
        Some(bytes.len() - rest.len() + trailers)
    }
}

/// The value of the first field of this name.
pub fn value<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

fn framing(line: &str, headers: &Fields, kind: Kind) -> Option<Framing> {
    let bodiless = kind == Kind::ResponseToHead
        || kind == Kind::Response && matches!(status(line).unwrap_or_default(), 100..200 | 204 | 304);
    Some(if bodiless {
        Framing::Bodiless
    } else if value(headers, "transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        Framing::Chunked
    } else if let Some(length) = value(headers, "content-length") {
        Framing::Length(length.parse().ok()?)
    } else if kind == Kind::Request {
        Framing::Bodiless
    } else {
        Framing::Close
    })
}

fn status(line: &str) -> Option<u16> {
    line.strip_prefix("HTTP/")?.split(' ').nth(1)?.parse().ok()
}

fn fields(text: &str) -> Fields {
    text.split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect()
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_complete_at_its_last_byte_and_not_before() {
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n";
        for (text, kind, body) in [
            (format!("{chunked}\r\n"), Kind::Request, "abc"),
            (format!("{chunked}a: b\r\nc: d\r\n\r\n"), Kind::Request, "abc"),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab".into(),
                Kind::Response,
                "ab",
            ),
            ("HTTP/1.1 204 No\r\n\r\n".into(), Kind::Response, ""),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n".into(),
                Kind::ResponseToHead,
                "",
            ),
            ("POST / HTTP/1.1\r\nhost: a\r\n\r\n".into(), Kind::Request, ""),
        ] {
            for end in 0..text.len() {
                let message = Message::parse(&text.as_bytes()[..end], kind);
                assert!(message.is_none_or(|(message, _)| !message.complete), "{end} of {text}");
            }
            let (message, used) = Message::parse(format!("{text}more").as_bytes(), kind).unwrap();
            assert_eq!(
                (message.body, message.complete, used),
                (body.into(), true, text.len()),
                "{text}"
            );
        }
        let (open_ended, _) = Message::parse(b"HTTP/1.1 200 OK\r\n\r\nab", Kind::Response).unwrap();
        assert_eq!(
            (open_ended.framing, open_ended.complete, &open_ended.body[..]),
            (Framing::Close, false, &b"ab"[..])
        );
    }
}
