//! What one client, or a thousand, can take of the server at most. Each cap stands beside its reason.

use std::time::Duration;

/// Some scrapers, the probes and a few people, with room to spare; each connection costs a file descriptor and up to
/// two buffers of [`HEADER_BYTES`]. Past it the connection that has been idle for longest makes room.
const CONNECTIONS: usize = 256;

/// A page of a large pool has megabytes and stays in memory until its client has read it: this times a page is what
/// the slowest clients can hold. More than one scraper asks at a time, but hardly sixteen.
const PAGES: usize = 16;

/// Both ends of a network that loses packets have sent a head, or shaken hands, in this time.
const HEAD: Duration = Duration::from_secs(10);

/// Longer than the usual scrape intervals, which end at two minutes, so that a scraper keeps its connection.
const IDLE: Duration = Duration::from_secs(180);

/// A request that is on its way when a connection is made is read by then; who has sent none is idle.
const SETTLE: Duration = Duration::from_secs(1);

/// Half of the time after which Prometheus gives up by default.
const TURN: Duration = Duration::from_secs(5);

/// Prometheus gives up after 10 s by default, and nobody scrapes with more than half a minute of patience.
const ANSWER: Duration = Duration::from_secs(30);

/// An idle connection that is told to go needs a round trip to say goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

/// Well within the 30 s that Kubernetes gives a pod between SIGTERM and SIGKILL.
const DRAIN: Duration = Duration::from_secs(10);

/// How often the certificate's files are read again: the kubelet itself takes about a minute to bring a new Secret.
const TLS_RELOAD: Duration = Duration::from_secs(10);

/// Bytes of a request's head, in HTTP/1.1 and HTTP/2. A token of a service account has one or two thousand.
pub(super) const HEADER_BYTES: u32 = 16 * 1024;

/// Headers of a request. Prometheus sends seven; proxies add theirs.
pub(super) const HEADERS: usize = 64;

/// Requests at a time on one connection of HTTP/2. Nobody has cause for more than a page or two.
pub(super) const STREAMS: u32 = 8;

/// What a client of HTTP/2 may send of a body that nobody reads: the least that the protocol starts with.
pub(super) const BODY_WINDOW: u32 = 65_535;

/// The limits that tests make smaller.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time. Past it, the one that has been idle for longest is closed for the new one; until there
    /// is one, the new one waits.
    pub connections: usize,
    /// How long a connection must have been idle to be closed for another.
    pub settle: Duration,
    /// Pages of metrics in memory at a time.
    pub pages: usize,
    /// From a request for a page to its place in memory. Past it, the answer is 503.
    pub turn: Duration,
    /// From a connection's start to the end of its first request's head, with TLS' handshake.
    pub head: Duration,
    /// From an answer's end to the end of the next request's head.
    pub idle: Duration,
    /// From a request's head to the end of its answer, as far as the client lets us send it. Past it, the connection
    /// is cut off.
    pub answer: Duration,
    /// From the decision to close an idle connection to its end, and from our end of any connection to the client's.
    pub farewell: Duration,
    /// From the order to shut down to the end of the last answer.
    pub drain: Duration,
    /// Between two looks at the files of the certificate.
    pub tls_reload: Duration,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            settle: SETTLE,
            pages: PAGES,
            turn: TURN,
            head: HEAD,
            idle: IDLE,
            answer: ANSWER,
            farewell: FAREWELL,
            drain: DRAIN,
            tls_reload: TLS_RELOAD,
        }
    }
}
