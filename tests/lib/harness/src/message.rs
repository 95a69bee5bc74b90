//! HTTP/1.1 messages taken apart without losing anything that a proxy could change: the order of the headers, trailers,
//! and whether the end was said, cut off or only guessed from the connection's end.

/// Headers or trailers in order; names in lower case, as HTTP does not tell them apart.
pub type Fields = Vec<(String, String)>;

/// What a message is, which decides where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request.
    Request,
    /// An answer to a request.
    Answer,
    /// An answer to a `HEAD`: it has no body, whatever its headers say.
    AnswerToHead,
}

/// How a message says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// It has no body.
    Bodiless,
    /// By `content-length`.
    Length(usize),
    /// In chunks.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// A message, as far as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The first line.
    pub line: String,
    /// Its headers.
    pub headers: Fields,
    /// How the body is framed.
    pub framing: Framing,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// What stands after the last chunk.
    pub trailers: Fields,
    /// Whether the message came to its end.
    pub whole: bool,
}

// === impl Message ===

impl Message {
    /// Reads the first message of some bytes, and how many of them it takes; `None` until its head is whole.
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
            whole: false,
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
        message.whole = used.is_some();
        Some((message, head + 4 + used.unwrap_or(after.len())))
    }

    /// A header's value; the first one, if it is there several times.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    /// An answer's status; 0 where there is none.
    pub fn status(&self) -> u16 {
        status(&self.line).unwrap_or_default()
    }

    /// Takes the chunks apart as far as they came, and gives their length once the end is there.
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
    let bodiless = kind == Kind::AnswerToHead
        || kind == Kind::Answer && matches!(status(line).unwrap_or_default(), 100..200 | 204 | 304);
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
    fn a_message_is_whole_at_its_last_byte_and_not_before() {
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n";
        for (text, kind, body) in [
            (format!("{chunked}\r\n"), Kind::Request, "abc"),
            (format!("{chunked}a: b\r\nc: d\r\n\r\n"), Kind::Request, "abc"),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab".into(),
                Kind::Answer,
                "ab",
            ),
            ("HTTP/1.1 204 No\r\n\r\n".into(), Kind::Answer, ""),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n".into(),
                Kind::AnswerToHead,
                "",
            ),
            ("POST / HTTP/1.1\r\nhost: a\r\n\r\n".into(), Kind::Request, ""),
        ] {
            for end in 0..text.len() {
                let message = Message::parse(&text.as_bytes()[..end], kind);
                assert!(message.is_none_or(|(message, _)| !message.whole), "{end} of {text}");
            }
            let (message, used) = Message::parse(format!("{text}more").as_bytes(), kind).unwrap();
            assert_eq!(
                (message.body, message.whole, used),
                (body.into(), true, text.len()),
                "{text}"
            );
        }
        let (open, _) = Message::parse(b"HTTP/1.1 200 OK\r\n\r\nab", Kind::Answer).unwrap();
        assert_eq!(
            (open.framing, open.whole, &open.body[..]),
            (Framing::Close, false, &b"ab"[..])
        );
    }
}
