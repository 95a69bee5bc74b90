//! A server under test, pages to serve, and a client that sees the wire.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use infertally_syncer::exposition::{Family, Format, Kind, Series, Value, encode};
use infertally_syncer::serve::auth::Auth;
use infertally_syncer::serve::{Limits, Pages, Server, Settings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// No test waits longer than this for anything.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Longer than any test: a limit of this length is not the one under test.
pub const NEVER: Duration = Duration::from_secs(3600);

/// Short enough to be waited for.
pub const SOON: Duration = Duration::from_millis(150);

/// Pages that a test makes.
pub struct Fixed {
    pub families: Vec<Family>,
    pub ready: Mutex<Result<(), String>>,
}

/// A server that runs. It is cut off when this is dropped.
pub struct Running {
    pub address: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

/// A connection of HTTP/1.1.
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

    /// The page that these families make.
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

// === impl Running ===

impl Running {
    /// The small pages, for all, without limits that a test would meet.
    pub async fn plain() -> Self {
        Self::start(Fixed::small(), open(Limits::default())).await
    }

    /// The pages with these settings.
    pub async fn start(pages: Arc<dyn Pages>, settings: Settings) -> Self {
        let server = Server::bind(settings).await.unwrap();
        let address = server.address();
        let (shutdown, told) = oneshot::channel();
        let task = tokio::spawn(async move {
            server.run(pages, async { _ = told.await }).await;
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

    /// A new connection whose kernel keeps little of what it has not read.
    pub async fn connect_narrow(&self) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Client::new(socket.connect(self.address).await.unwrap())
    }

    /// The answer to one request on a connection of its own.
    pub async fn get(&self, path: &str, headers: &[&str]) -> Answer {
        self.connect().await.ask("GET", path, headers).await
    }

    /// Tells the server to end.
    pub fn tell(&mut self) {
        _ = self.shutdown.take().unwrap().send(());
    }

    /// Waits until the server has ended.
    pub async fn ended(&mut self) {
        within(&mut self.task).await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Settings for all, with these limits.
pub fn open(limits: Limits) -> Settings {
    closed(Auth::None, limits)
}

/// Settings for those who are let in.
pub fn closed(auth: Auth, limits: Limits) -> Settings {
    Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        auth,
        tls: None,
        limits,
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

    /// Sends a request without a body, and reads its answer.
    pub async fn ask(&mut self, method: &str, path: &str, headers: &[&str]) -> Answer {
        self.send(&request(method, path, headers)).await.unwrap();
        self.answer(method).await.unwrap()
    }

    pub async fn send(&mut self, bytes: &str) -> io::Result<()> {
        within(self.stream.write_all(bytes.as_bytes())).await
    }

    /// Reads an answer to this method.
    pub async fn answer(&mut self, method: &str) -> io::Result<Answer> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.read().await?;
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer {
            status,
            head,
            body: Vec::new(),
        };
        if method != "HEAD" {
            let length: usize = answer.header("content-length").unwrap().parse().unwrap();
            while self.buffer.len() < length {
                self.read().await?;
            }
            answer.body = self.buffer.drain(..length).collect();
        }
        Ok(answer)
    }

    /// Waits until the server closes the connection, and gives what came before.
    pub async fn closed(&mut self) -> Vec<u8> {
        while self.read().await.is_ok() {}
        std::mem::take(&mut self.buffer)
    }

    async fn read(&mut self) -> io::Result<()> {
        match within(self.stream.read_buf(&mut self.buffer)).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

// === impl Answer ===

impl Answer {
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

/// A request as it goes over the wire.
pub fn request(method: &str, path: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nhost: test\r\n{headers}\r\n")
}

/// What comes before the deadline.
pub async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(DEADLINE, what).await.expect("not in time")
}

/// Asks again and again, until it is so.
pub async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "not in time");
        sleep(Duration::from_millis(5)).await;
    }
}
