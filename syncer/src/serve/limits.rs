//! Limits on what clients can take of the server. Each default stands beside its reason.

use std::time::Duration;

/// Some scrapers, the probes and a few people, with room to spare. A connection costs two file descriptors (see
/// [`super::linger`]) and up to two buffers of [`HEADER_BYTES`].
const CONNECTIONS: usize = 256;

/// A page of a large pool has megabytes and stays in memory until its client has read it: this times a page is what
/// the slowest clients can hold. More than one scraper scrapes at a time, but hardly sixteen.
const PAGES: usize = 16;

/// Enough for a request head, or a TLS handshake, over a network that loses packets at both ends.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Longer than the usual scrape intervals, which end at two minutes, so that a scraper keeps its connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(180);

/// A request sent with the connection is read by then; a client that has sent none is idle.
const EVICTION_GRACE: Duration = Duration::from_secs(1);

/// Half of the time after which Prometheus gives up by default.
const PAGE_WAIT: Duration = Duration::from_secs(5);

/// Prometheus gives up after 10 s by default, and hardly anybody sets more than half a minute.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// A round trip: what a client needs to close its side.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Well within the 30 s that Kubernetes gives a pod between SIGTERM and SIGKILL.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The kubelet itself takes about a minute to mount a new Secret.
const TLS_RELOAD: Duration = Duration::from_secs(10);

/// Bytes of a request head, in HTTP/1.1 and HTTP/2. A service account token has one or two thousand.
pub(super) const HEADER_BYTES: u32 = 16 * 1024;

/// Headers of a request. Prometheus sends seven; proxies add theirs.
pub(super) const HEADERS: usize = 64;

/// Concurrent streams of an HTTP/2 connection. Nobody has cause for more than a page or two.
pub(super) const STREAMS: u32 = 8;

/// Bytes of a request body that an HTTP/2 client may send although no route reads it: the protocol's initial window.
pub(super) const BODY_WINDOW: u32 = 65_535;

/// The limits that tests make smaller.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Concurrent connections. At the limit, the connection that has been idle for longest is closed for a new one,
    /// which waits until then.
    pub connections: usize,
    /// How long a connection must have been idle to be closed for another.
    pub eviction_grace: Duration,
    /// Pages of metrics in memory at a time.
    pub pages: usize,
    /// How long a request waits for one of `pages`, before it gets 503.
    pub page_wait: Duration,
    /// From a connection's start to the end of its first request head, TLS handshake included.
    pub header_timeout: Duration,
    /// From the end of a response to the end of the next request head.
    pub idle_timeout: Duration,
    /// From the end of a request head to the end of the response. Past it, the connection is reset.
    pub response_timeout: Duration,
    /// From the start of a graceful close to its end, and from the server's FIN to the client's.
    pub close_timeout: Duration,
    /// From the signal to shut down to the end of the last response.
    pub drain_timeout: Duration,
    /// The interval at which the certificate's files are read again.
    pub tls_reload: Duration,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            eviction_grace: EVICTION_GRACE,
            pages: PAGES,
            page_wait: PAGE_WAIT,
            header_timeout: HEADER_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            response_timeout: RESPONSE_TIMEOUT,
            close_timeout: CLOSE_TIMEOUT,
            drain_timeout: DRAIN_TIMEOUT,
            tls_reload: TLS_RELOAD,
        }
    }
}
