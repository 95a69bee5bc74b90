//! A plain HTTP/1.1 client for tests. It keeps the raw bytes, the HTTP chunks and whether the response was complete,
//! which an HTTP library would hide.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code, and each test file uses a part of it"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use infertally_sim::{Sim, SimConfig};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// The longest wait of a test.
pub const DEADLINE: Duration = Duration::from_secs(10);

pub const CHAT: &str = "/v1/chat/completions";
pub const COMPLETIONS: &str = "/v1/completions";
pub const CHAT_BODY: &str = r#"{"messages": [{"role": "user", "content": "one two three"}], "max_tokens": 4}"#;
pub const STREAM_BODY: &str = r#"{"messages": [{"role": "user", "content": "one two three"}], "max_tokens": 4, "stream": true,
    "stream_options": {"include_usage": true}}"#;

/// A response as received.
#[derive(Debug)]
pub struct Response {
    pub raw: Vec<u8>,
    pub status: u16,
    pub head: String,
    /// Without the chunked framing.
    pub body: Vec<u8>,
    /// The HTTP chunks; a single one if the body has a content length.
    pub chunks: Vec<Vec<u8>>,
    /// Whether its framing was complete.
    pub complete: bool,
}

pub async fn sim() -> Sim {
    Sim::start(SimConfig {
        adapters: vec!["lora-a".to_owned()],
        ..SimConfig::default()
    })
    .await
    .unwrap()
}

pub fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/vllm-0.32.0")
}

/// A captured request or response, by file name.
pub fn capture(file: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

pub fn request(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nhost: sim\r\ncontent-length: {}\r\n",
        body.len()
    );
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        head.push_str("content-type: application/json\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

pub async fn send(addr: SocketAddr, request: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(request).await.unwrap();
    stream
}

/// Reads to the end of the connection.
pub async fn drain(mut stream: TcpStream) -> Vec<u8> {
    let mut raw = Vec::new();
    // A reset after the response counts as an end too.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut raw)).await.unwrap();
    raw
}

/// Reads until the bytes contain `what`.
pub async fn read_until(stream: &mut TcpStream, what: &str) -> Vec<u8> {
    let mut raw = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&raw).contains(what) {
        let read = timeout(DEADLINE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "closed before {what:?}: {}", String::from_utf8_lossy(&raw));
        raw.extend_from_slice(&buffer[..read]);
    }
    raw
}

/// Posts a body with this `x-sim` header on a connection of its own and reads the response.
pub async fn post(sim: &Sim, path: &str, x_sim: &str, body: &str) -> Response {
    let mut headers = vec![("connection", "close")];
    if !x_sim.is_empty() {
        headers.push(("x-sim", x_sim));
    }
    let request = request(path, &headers, body.as_bytes());
    Response::parse(drain(send(sim.addr(), &request).await).await)
}

pub async fn get(addr: SocketAddr, path: &str) -> Response {
    let request = format!("GET {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n\r\n");
    Response::parse(drain(send(addr, request.as_bytes()).await).await)
}

/// The value of the first series that starts with this.
pub async fn metric(sim: &Sim, series: &str) -> f64 {
    let text = get(sim.addr(), "/metrics").await.text();
    let line = text
        .lines()
        .find(|line| line.starts_with(series))
        .unwrap_or_else(|| panic!("{series} in {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Polls until the series has this value.
pub async fn until_metric(sim: &Sim, series: &str, expected: f64) {
    let start = Instant::now();
    loop {
        let is = metric(sim, series).await;
        if is == expected {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "{series} is {is}, not {expected}");
        sleep(Duration::from_millis(2)).await;
    }
}

impl Response {
    pub fn parse(raw: Vec<u8>) -> Self {
        let end = find(&raw, b"\r\n\r\n").unwrap_or_else(|| panic!("no head: {:?}", String::from_utf8_lossy(&raw)));
        let head = String::from_utf8(raw[..end + 2].to_vec()).unwrap();
        let status = head[9..12].parse().unwrap();
        let mut rest = &raw[end + 4..];
        let mut chunks = Vec::new();
        let mut complete = false;
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            while let Some(line) = find(rest, b"\r\n") {
                let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
                let Some(chunk) = rest.get(line + 2..line + 2 + size) else {
                    break;
                };
                rest = rest.get(line + 4 + size..).unwrap_or_default();
                if size == 0 {
                    complete = true;
                    break;
                }
                chunks.push(chunk.to_vec());
            }
        } else {
            chunks.push(rest.to_vec());
            let length = header_of(&head, "content-length").map(|length| length.parse().unwrap());
            complete = length == Some(rest.len());
        }
        let body = chunks.concat();
        Self {
            raw,
            status,
            head,
            body,
            chunks,
            complete,
        }
    }

    pub fn header(&self, name: &str) -> Option<String> {
        header_of(&self.head, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The payloads of the `data:` lines; the lines must end in LF.
    pub fn data(&self) -> Vec<String> {
        self.text()
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(str::to_owned)
            .collect()
    }

    /// The payloads as JSON, without `[DONE]`.
    pub fn events(&self) -> Vec<Value> {
        let data = self.data();
        data.iter()
            .filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }

    /// The text of the choices with this index.
    pub fn content(&self, index: u64) -> String {
        let events = self.events();
        let choices = events.iter().flat_map(|event| event["choices"].as_array().unwrap());
        let own = choices.filter(|choice| choice["index"] == index);
        own.map(|choice| choice["delta"]["content"].as_str().or(choice["text"].as_str()).unwrap())
            .collect()
    }
}

pub fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn header_of(head: &str, name: &str) -> Option<String> {
    let pairs = head.lines().filter_map(|line| line.split_once(": "));
    pairs
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.to_owned())
        .next()
}
