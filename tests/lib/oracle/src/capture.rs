//! Captured exchanges: the raw bytes of a request and its response, as a real server and its client sent them.

use std::path::Path;

use crate::message::{Framing, Kind, Message};

/// A file that is missing, or is not HTTP.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A response, as far as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// Whether the end of the body was received.
    pub complete: bool,
}

/// A request and its response.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The file's name without its extension.
    pub name: String,
    /// `POST` or `GET`.
    pub method: String,
    /// With the query string.
    pub path: String,
    /// The request's body.
    pub request_body: Vec<u8>,
    /// The response.
    pub response: Response,
}

// === impl Response ===

impl Response {
    /// Parses a response and nothing after it; `None` if its head is incomplete. One that ends with its connection is
    /// complete.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (mut message, _) = Message::parse(bytes, Kind::Response)?;
        message.complete |= message.framing == Framing::Close;
        Some(message.into())
    }

    /// Whether the bytes themselves delimit the body.
    pub fn is_framed(&self) -> bool {
        self.header("content-length")
            .or(self.header("transfer-encoding"))
            .is_some()
    }

    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        crate::message::value(&self.headers, name)
    }
}

impl From<Message> for Response {
    fn from(message: Message) -> Self {
        Self {
            status: message.status(),
            complete: message.complete,
            headers: message.headers,
            body: message.body,
        }
    }
}

// === impl Capture ===

impl Capture {
    /// Loads `NAME.req` and `NAME.resp` of a folder.
    ///
    /// # Errors
    /// If a file is missing, or is not HTTP.
    pub fn load(folder: &Path, name: &str) -> Result<Self, Error> {
        let request = std::fs::read(folder.join(format!("{name}.req")))?;
        let response = std::fs::read(folder.join(format!("{name}.resp")))?;
        let (request, _) =
            Message::parse(&request, Kind::Request).ok_or_else(|| format!("{name}.req has no complete head"))?;
        let mut line = request.line.split(' ');
        let (method, path) = line
            .next()
            .zip(line.next())
            .ok_or_else(|| format!("{name}.req has no request line"))?;
        Ok(Self {
            name: name.to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            request_body: request.body,
            response: Response::parse(&response).ok_or_else(|| format!("{name}.resp has no complete head"))?,
        })
    }

    /// Loads all captures of a folder, by name.
    ///
    /// # Errors
    /// As [`Capture::load`].
    pub fn load_all(folder: &Path) -> Result<Vec<Self>, Error> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let name = entry?.file_name().into_string().map_err(|name| format!("{name:?}"))?;
            names.extend(name.strip_suffix(".resp").map(str::to_owned));
        }
        names.sort();
        names.iter().map(|name| Self::load(folder, name)).collect()
    }
}
