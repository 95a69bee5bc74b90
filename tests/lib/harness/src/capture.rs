//! HTTP/1.1 messages as raw bytes: captures of a real model server, and what the tests' client receives.

use std::path::Path;

use crate::Result;

/// An answer taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body without its chunk framing, as far as it came.
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub whole: bool,
}

/// A request and its answer as a real server and its client sent them.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The file's name without its ending.
    pub name: String,
    /// `POST` or `GET`.
    pub method: String,
    /// With the query string.
    pub path: String,
    /// The request's body.
    pub request_body: Vec<u8>,
    /// The answer.
    pub answer: Answer,
}

// === impl Answer ===

impl Answer {
    /// Takes an answer apart; `None` if its head is not whole.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, body) = split_head(bytes)?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let header = |name: &str| {
            headers
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
        };
        let (body, whole) = match (header("content-length"), header("transfer-encoding")) {
            (Some(length), _) => (body.to_vec(), length.parse() == Ok(body.len())),
            (None, Some("chunked")) => dechunk(body),
            _ => (body.to_vec(), true),
        };
        Some(Self {
            status,
            headers,
            body,
            whole,
        })
    }

    /// Whether the bytes themselves tell where the body ends.
    pub fn is_framed(&self) -> bool {
        self.header("content-length")
            .or(self.header("transfer-encoding"))
            .is_some()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

// === impl Capture ===

impl Capture {
    /// Reads `NAME.req` and `NAME.resp` of a folder.
    ///
    /// # Errors
    /// If a file is missing or is no HTTP.
    pub fn load(folder: &Path, name: &str) -> Result<Self> {
        let request = std::fs::read(folder.join(format!("{name}.req")))?;
        let answer = std::fs::read(folder.join(format!("{name}.resp")))?;
        let (head, body) = split_head(&request).ok_or_else(|| format!("{name}.req has no head"))?;
        let mut line = head.split([' ', '\r']);
        let (method, path) = line
            .next()
            .zip(line.next())
            .ok_or_else(|| format!("{name}.req has no request line"))?;
        Ok(Self {
            name: name.to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            request_body: body.to_vec(),
            answer: Answer::parse(&answer).ok_or_else(|| format!("{name}.resp has no head"))?,
        })
    }

    /// All captures of a folder, by name.
    ///
    /// # Errors
    /// As [`Capture::load`].
    pub fn load_all(folder: &Path) -> Result<Vec<Self>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let name = entry?.file_name().into_string().map_err(|name| format!("{name:?}"))?;
            names.extend(name.strip_suffix(".resp").map(str::to_owned));
        }
        names.sort();
        names.iter().map(|name| Self::load(folder, name)).collect()
    }
}

fn split_head(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((std::str::from_utf8(bytes.get(..end)?).ok()?, bytes.get(end + 4..)?))
}

/// The chunks' contents as far as they go, and whether the last chunk is there.
fn dechunk(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let line = bytes.windows(2).position(|window| window == b"\r\n");
        let size = line.and_then(|end| usize::from_str_radix(std::str::from_utf8(bytes.get(..end)?).ok()?, 16).ok());
        let (Some(end), Some(size)) = (line, size) else {
            return (body, false);
        };
        if size == 0 {
            return (body, true);
        }
        let chunk = bytes.get(end + 2..).unwrap_or_default();
        body.extend_from_slice(chunk.get(..size).unwrap_or(chunk));
        match chunk.get(size + 2..) {
            Some(rest) => bytes = rest,
            None => return (body, false),
        }
    }
}
