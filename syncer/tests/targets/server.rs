//! [`Server`], a model server with metrics behind TLS and a token, which records what it receives.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// Requests that wait, on its page.
pub const WAITING: u32 = 7;

/// The first byte that a TLS client sends.
const TLS_HANDSHAKE: u8 = 0x16;

pub struct Server {
    port: u16,
    state: Arc<Mutex<State>>,
    _task: JoinSet<()>,
}

#[derive(Default)]
struct State {
    /// `None`: plain HTTP.
    tls: Option<Arc<ServerConfig>>,
    token: Option<String>,
    /// Redirects there instead of a page.
    redirect: Option<String>,
    requests: Vec<Request>,
    connections: JoinSet<io::Result<()>>,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    pub head: String,
    /// Whether the client had a certificate.
    pub certificate: bool,
}

// === impl Server ===

impl Server {
    pub async fn http() -> Self {
        Self::start(None).await
    }

    pub async fn https(tls: ServerConfig) -> Self {
        Self::start(Some(tls)).await
    }

    async fn start(tls: Option<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State {
            tls: tls.map(Arc::new),
            ..State::default()
        }));
        let mut task = JoinSet::new();
        task.spawn(accept(listener, Arc::clone(&state)));
        Self {
            port,
            state,
            _task: task,
        }
    }

    /// A value of `--target`.
    pub fn target(&self, name: &str, base: &str) -> String {
        format!("{name}={base}:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Closes all connections, and uses this for new ones.
    pub fn restart_with(&self, tls: ServerConfig) {
        let mut state = self.state.lock().unwrap();
        state.tls = Some(Arc::new(tls));
        state.connections.abort_all();
    }

    /// Requires this token from the next request on.
    pub fn set_token(&self, token: &str) {
        self.state.lock().unwrap().token = Some(token.to_owned());
    }

    pub fn redirect(&self, location: &str) {
        self.state.lock().unwrap().redirect = Some(location.to_owned());
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&state);
        let mut state = state.lock().unwrap();
        let tls = state.tls.clone();
        state.connections.spawn(async move {
            let Some(tls) = tls else {
                return serve(socket, &shared, false).await;
            };
            let socket = TlsAcceptor::from(tls).accept(socket).await?;
            let certificate = socket.get_ref().1.peer_certificates().is_some();
            serve(socket, &shared, certificate).await
        });
    }
}

async fn serve(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    state: &Mutex<State>,
    certificate: bool,
) -> io::Result<()> {
    let mut head = Vec::new();
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            if socket.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
            if head.first() == Some(&TLS_HANDSHAKE) {
                return socket
                    .write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")
                    .await;
            }
        }
        let head = String::from_utf8(head.clone()).unwrap();
        let reply = reply(&mut state.lock().unwrap(), Request { head, certificate });
        socket.write_all(reply.as_bytes()).await?;
        socket.flush().await?;
    }
}

fn reply(state: &mut State, request: Request) -> String {
    let authorization = request.header("authorization").map(str::to_owned);
    state.requests.push(request);
    if let Some(location) = &state.redirect {
        return format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
    }
    if let Some(token) = &state.token
        && authorization != Some(format!("Bearer {token}"))
    {
        return "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n".to_owned();
    }
    let page = format!("vllm:num_requests_waiting {WAITING}\n");
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{page}", page.len())
}

// === impl Request ===

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}
