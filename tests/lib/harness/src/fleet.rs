//! Pods of model servers that serve `/metrics` and nothing else, each on a port of its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::Result;
use crate::envoy::loopback;
use crate::ports::Port;

/// Limit of a request's head.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Time between two bytes of a drip: never complete within a timeout, and never silent for one.
const DRIP: Duration = Duration::from_millis(50);

const CHUNKED_HEAD: &[u8] = b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n";

/// How a pod responds to a scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// 200 with this page.
    Page(Bytes),
    /// 200 with this page after a delay.
    Late(Bytes, Duration),
    /// This status and no body.
    Status(u16),
    /// It reads the request and never responds.
    Hang,
    /// A byte at a time, for ever.
    Drip,
    /// 200 with half of this page, and the connection closes.
    Cut(Bytes),
    /// This many bytes of a chunked page, and the connection closes.
    Endless(u64),
}

/// A pod. When this is dropped, its port refuses connections, and open ones close.
#[derive(Debug)]
pub struct Pod {
    port: u16,
    behaviour: Arc<Mutex<Behaviour>>,
    served: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

/// Many pods.
#[derive(Debug, Default)]
pub struct Fleet {
    /// The pods, `pod-0000` first.
    pub pods: Vec<Pod>,
}

// === impl Fleet ===

impl Fleet {
    /// Starts pods; `page` makes the page of each.
    ///
    /// # Errors
    /// If there are not enough ports.
    pub async fn start(count: usize, page: impl Fn(usize) -> Bytes) -> Result<Self> {
        let mut pods = Vec::with_capacity(count);
        for index in 0..count {
            pods.push(Pod::start(Behaviour::Page(page(index))).await?);
        }
        Ok(Self { pods })
    }

    /// The text of a targets file with all of them.
    pub fn targets(&self) -> String {
        let lines = self
            .pods
            .iter()
            .enumerate()
            .map(|(index, pod)| format!("{}\n", pod.target(&name(index))));
        lines.collect()
    }
}

/// The name of a fleet's pod.
pub fn name(index: usize) -> String {
    format!("pod-{index:04}")
}

// === impl Pod ===

impl Pod {
    /// Starts a pod on a free port.
    ///
    /// # Errors
    /// If there is none.
    pub async fn start(behaviour: Behaviour) -> Result<Self> {
        Self::listen(loopback(0), behaviour).await
    }

    /// Starts a pod on a reserved port, on which another can be started once it is dropped.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn start_on(port: &Port, behaviour: Behaviour) -> Result<Self> {
        Self::listen(port.address(), behaviour).await
    }

    async fn listen(address: SocketAddr, behaviour: Behaviour) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let port = listener.local_addr()?.port();
        let behaviour = Arc::new(Mutex::new(behaviour));
        let served = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&behaviour), Arc::clone(&served)));
        Ok(Self {
            port,
            behaviour,
            served,
            _tasks: tasks,
        })
    }

    /// Changes its behaviour from the next request on.
    pub fn set(&self, behaviour: Behaviour) {
        if let Ok(mut now) = self.behaviour.lock() {
            *now = behaviour;
        }
    }

    /// Its port, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many requests it received.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// A value of the syncer's `--target`.
    pub fn target(&self, name: &str) -> String {
        format!("{name}=http://127.0.0.1:{}", self.port)
    }
}

/// Accepts connections, which end with this.
async fn accept(listener: TcpListener, behaviour: Arc<Mutex<Behaviour>>, served: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((socket, _)) = listener.accept() => {
                let (behaviour, served) = (Arc::clone(&behaviour), Arc::clone(&served));
                connections.spawn(async move {
                    // A client that disconnects is no failure.
                    _ = serve(socket, &behaviour, &served).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(mut socket: TcpStream, behaviour: &Mutex<Behaviour>, served: &AtomicU64) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut head = Vec::new();
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() > MAX_HEAD_BYTES || socket.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        served.fetch_add(1, Ordering::Relaxed);
        let now = match behaviour.lock() {
            Ok(behaviour) => behaviour.clone(),
            Err(_) => return Ok(()),
        };
        match now {
            Behaviour::Page(page) => send(&mut socket, 200, &page).await?,
            Behaviour::Late(page, after) => {
                tokio::time::sleep(after).await;
                send(&mut socket, 200, &page).await?;
            }
            Behaviour::Status(status) => send(&mut socket, status, b"").await?,
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Drip => {
                socket.write_all(CHUNKED_HEAD).await?;
                loop {
                    socket.write_all(b"1\r\n#\r\n").await?;
                    tokio::time::sleep(DRIP).await;
                }
            }
            Behaviour::Cut(page) => {
                send_head(&mut socket, 200, page.len()).await?;
                return socket.write_all(page.get(..page.len() / 2).unwrap_or_default()).await;
            }
            Behaviour::Endless(bytes) => {
                socket.write_all(CHUNKED_HEAD).await?;
                let chunk = format!("4000\r\n{}\r\n", "\n".repeat(0x4000));
                for _ in 0..bytes / 0x4000 {
                    socket.write_all(chunk.as_bytes()).await?;
                }
                return Ok(());
            }
        }
    }
}

async fn send_head(socket: &mut TcpStream, status: u16, length: usize) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\ncontent-length: {length}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await
}

async fn send(socket: &mut TcpStream, status: u16, body: &[u8]) -> std::io::Result<()> {
    send_head(socket, status, body.len()).await?;
    socket.write_all(body).await
}
