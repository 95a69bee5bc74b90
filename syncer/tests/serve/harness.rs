//! A server under test, pages for it, and a client that sees the bytes on the wire.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use infertally_syncer::exposition::{Family, Format, Kind, Series, Value, encode};
use infertally_syncer::file::Reload;
use infertally_syncer::serve::auth::Auth;
use infertally_syncer::serve::{Limits, Pages, Server, Settings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// The longest that a test waits for anything.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Longer than any test: a timeout of this length is not the one under test.
pub const NEVER: Duration = Duration::from_secs(3600);

/// Short enough for a test to wait for it.
pub const SOON: Duration = Duration::from_millis(150);

/// Pages that do not change.
pub struct Fixed {
    pub families: Vec<Family>,
    pub ready: Mutex<Result<(), String>>,
}

/// A running server, which is aborted when this is dropped.
pub struct TestServer {
    pub address: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// A response as it arrived.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

/// A client connection of HTTP/1.1.
pub struct Client<S = TcpStream> {
    pub stream: S,
    buffer: Vec<u8>,
}

// === impl Fixed ===

impl Fixed {
    /// Two families, ready.
    pub fn small() -> Arc<Self> {
        Self::of(vec![
            gauge("inference_pool_ready_pods", 3),
            gauge("inference_pool_average_queue_size", 1),
        ])
    }

    /// More than the kernel's buffers hold: 12 MB.
    pub fn large() -> Arc<Self> {
        let mut family = gauge(&"x".repeat(1000), 1);
        family.series = vec![family.series[0].clone(); 12_000];
        Self::of(vec![family])
    }

    fn of(families: Vec<Family>) -> Arc<Self> {
        Arc::new(Self {
            families,
            ready: Mutex::new(Ok(())),
        })
    }

    /// The families, encoded.
    pub fn page(&self, format: Format) -> String {
        let mut page = String::new();
        encode(&self.families, format, &mut page);
        page
    }
}

impl Pages for Fixed {
    fn families(&self) -> Vec<Family> {
        self.families.clone()
    }

    fn ready(&self) -> Result<(), String> {
        self.ready.lock().unwrap().clone()
    }
}

fn gauge(name: &str, value: u32) -> Family {
    Family {
        name: name.to_owned().into(),
        help: "A test's.".into(),
        kind: Kind::Gauge,
        series: vec![Series {
            labels: Vec::new(),
            value: Value::Float(value.into()),
        }],
    }
}

// === impl TestServer ===

impl TestServer {
    /// Serves the small pages without authentication, and with limits that a test does not reach.
    pub async fn plain() -> Self {
        Self::start(Fixed::small(), without_auth(Limits::default())).await
    }

    /// Serves the pages.
    pub async fn start(pages: Arc<dyn Pages>, settings: Settings) -> Self {
        let server = Server::bind(settings).await.unwrap();
        let address = server.address();
        let (shutdown, signal) = oneshot::channel();
        let task = tokio::spawn(async move {
            server.run(pages, async { _ = signal.await }).await;
        });
        Self {
            address,
            shutdown: Some(shutdown),
            task,
        }
    }

    /// A new connection.
    pub async fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// A new connection with a small receive buffer.
    pub async fn connect_narrow(&self) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Client::new(socket.connect(self.address).await.unwrap())
    }

    /// The response to a request on a new connection.
    pub async fn get(&self, path: &str, headers: &[&str]) -> Response {
        self.connect().await.request("GET", path, headers).await
    }

    /// Signals the server to shut down.
    pub fn shut_down(&mut self) {
        _ = self.shutdown.take().unwrap().send(());
    }

    /// Waits until the server has stopped.
    pub async fn stopped(&mut self) {
        in_time(&mut self.task).await.unwrap();
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Settings without authentication.
pub fn without_auth(limits: Limits) -> Settings {
    with_auth(Auth::None, limits)
}

/// Settings with authentication.
pub fn with_auth(auth: Auth, limits: Limits) -> Settings {
    Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        auth,
        tls: None,
        limits,
        reload: Reload::default(),
    }
}

// === impl Client ===

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Sends a request without a body, and reads its response.
    pub async fn request(&mut self, method: &str, path: &str, headers: &[&str]) -> Response {
        self.send(&request(method, path, headers)).await.unwrap();
        self.response(method).await.unwrap()
    }

    pub async fn send(&mut self, bytes: &str) -> io::Result<()> {
        in_time(self.stream.write_all(bytes.as_bytes())).await
    }

    /// Reads the response to a request of this method.
    pub async fn response(&mut self, method: &str) -> io::Result<Response> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.read().await?;
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut response = Response {
            status,
            head,
            body: Vec::new(),
        };
        if method != "HEAD" {
            let length: usize = response.header("content-length").unwrap().parse().unwrap();
            while self.buffer.len() < length {
                self.read().await?;
            }
            response.body = self.buffer.drain(..length).collect();
        }
        Ok(response)
    }

    /// Waits until the server closes the connection, and returns what arrived before.
    pub async fn closed(&mut self) -> Vec<u8> {
        while self.read().await.is_ok() {}
        std::mem::take(&mut self.buffer)
    }

    async fn read(&mut self) -> io::Result<()> {
        match in_time(self.stream.read_buf(&mut self.buffer)).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

// === impl Response ===

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A request in wire format.
pub fn request(method: &str, path: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nhost: test\r\n{headers}\r\n")
}

/// Waits no longer than the deadline.
pub async fn in_time<T>(what: impl Future<Output = T>) -> T {
    timeout(DEADLINE, what).await.expect("deadline exceeded")
}

/// Polls until the condition holds.
pub async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds().await {
        assert!(Instant::now() < deadline, "deadline exceeded");
        sleep(Duration::from_millis(5)).await;
    }
}
