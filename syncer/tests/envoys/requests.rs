//! What an Envoy is requested for, and when: a scripted server in its place.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests panic on failure"
)]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use infertally_harness::{Syncer, eventually};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

const BINARY: &str = env!("CARGO_BIN_EXE_infertally-syncer");
const PAGE: &str = "inference_model_request_total{model_name=\"m\",target_model_name=\"t\"} 3\n";
const FILTER: &str = "/stats/prometheus?filter=%5Ewasmcustom%5C.";

/// A server that responds with [`PAGE`] after a delay.
struct Server {
    port: u16,
    requests: Arc<Requests>,
}

#[derive(Default)]
struct Requests {
    in_flight: AtomicUsize,
    /// The most that were in flight at once.
    peak: AtomicUsize,
    /// When they began, and their targets.
    seen: Mutex<Vec<(Instant, String)>>,
}

// === impl Server ===

impl Server {
    async fn start(delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Requests::default());
        let accepted = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, delay, Arc::clone(&accepted)));
            }
        });
        Self { port, requests }
    }

    fn targets(&self) -> Vec<String> {
        let seen = self.requests.seen.lock().unwrap();
        seen.iter().map(|(_, target)| target.clone()).collect()
    }

    /// The times between the starts of requests.
    fn intervals(&self) -> Vec<Duration> {
        let seen = self.requests.seen.lock().unwrap();
        seen.windows(2).map(|pair| pair[1].0 - pair[0].0).collect()
    }

    async fn has_requests(&self, count: usize) {
        eventually(async || match self.targets().len() {
            seen if seen >= count => Ok(()),
            seen => Err(format!("{seen} of {count} requests").into()),
        })
        .await
        .unwrap();
    }
}

async fn serve(mut connection: TcpStream, delay: Duration, requests: Arc<Requests>) {
    let (read, mut write) = connection.split();
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(first)) = lines.next_line().await {
        while lines
            .next_line()
            .await
            .is_ok_and(|line| line.is_some_and(|line| !line.is_empty()))
        {}
        let target = first.split(' ').nth(1).unwrap().to_owned();
        requests.seen.lock().unwrap().push((Instant::now(), target));
        let in_flight = requests.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        requests.peak.fetch_max(in_flight, Ordering::SeqCst);
        // An Envoy renders the page to its end, even if the client has gone.
        sleep(delay).await;
        requests.in_flight.fetch_sub(1, Ordering::SeqCst);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n",
            PAGE.len()
        );
        if write.write_all((head + PAGE).as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn syncer(arguments: &[&str]) -> Syncer {
    Syncer::pool(Path::new(BINARY), arguments).await.unwrap()
}

#[tokio::test]
async fn only_the_filters_stats_are_requested_and_a_query_of_the_users_is_kept() {
    let servers = [
        Server::start(Duration::ZERO).await,
        Server::start(Duration::ZERO).await,
        Server::start(Duration::ZERO).await,
        Server::start(Duration::ZERO).await,
    ];
    let urls = [
        format!("http://127.0.0.1:{}", servers[0].port),
        format!("http://127.0.0.1:{}/stats/prometheus?usedonly", servers[1].port),
        format!("http://127.0.0.1:{}/?filter=", servers[2].port),
        format!("http://127.0.0.1:{}/metrics", servers[3].port),
    ];
    let _syncer = syncer(&["--envoy", &urls.join(","), "--envoy-interval", "200ms"]).await;
    for (server, expected) in servers.iter().zip([
        FILTER,
        "/stats/prometheus?usedonly&filter=%5Ewasmcustom%5C.",
        "/stats/prometheus?filter=",
        "/metrics?filter=%5Ewasmcustom%5C.",
    ]) {
        server.has_requests(2).await;
        assert!(
            server.targets().iter().all(|target| target == expected),
            "{:?}",
            server.targets()
        );
    }
}

/// With the defaults, which no other flag changes.
#[tokio::test]
async fn a_page_that_takes_three_seconds_is_read_and_never_requested_twice_at_once() {
    let server = Server::start(Duration::from_secs(3)).await;
    let url = format!("http://127.0.0.1:{}", server.port);
    let syncer = syncer(&["--envoy", &url, "--scrape-interval", "100ms"]).await;
    let page = syncer
        .shows(&[PAGE.trim()], &["envoy_scrape_errors_total"])
        .await
        .unwrap();
    assert!(page.contains("envoy_last_scrape_age_seconds"), "{page}");
    server.has_requests(3).await;
    assert_eq!(server.requests.peak.load(Ordering::SeqCst), 1);
    // The first two may be closer: the first is early. Pods' scrapes do not set the pace.
    let intervals = server.intervals();
    assert!(intervals[1] >= Duration::from_secs(4), "{intervals:?}");
    syncer
        .shows(&[PAGE.trim()], &["envoy_scrape_errors_total"])
        .await
        .unwrap();
}

#[tokio::test]
async fn an_envoy_that_cannot_keep_up_is_left_alone_for_half_an_interval() {
    let server = Server::start(Duration::from_millis(550)).await;
    let url = format!("http://127.0.0.1:{}", server.port);
    let syncer = syncer(&["--envoy", &url, "--envoy-interval", "400ms"]).await;
    server.has_requests(4).await;
    let intervals = server.intervals();
    assert!(
        intervals.iter().all(|interval| *interval >= Duration::from_millis(590)),
        "{intervals:?}"
    );
    let timeouts = |page: &str| page.contains("reason=\"timeout\"");
    let page = syncer.metrics().await.unwrap();
    assert!(timeouts(&page) && !page.contains(PAGE.trim()), "{page}");
    // It does not keep the syncer from being ready.
    assert!(syncer.is_ready().await);
}

#[tokio::test]
async fn the_age_at_which_envoys_are_stale_follows_their_interval() {
    let server = Server::start(Duration::ZERO).await;
    let url = format!("http://127.0.0.1:{}", server.port);
    // Values of pods would be stale after 300 ms.
    let syncer = syncer(&["--envoy", &url, "--envoy-interval", "1s", "--scrape-interval", "100ms"]).await;
    syncer.shows(&[PAGE.trim()], &[]).await.unwrap();
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        let page = syncer.metrics().await.unwrap();
        assert!(page.contains(PAGE.trim()), "{page}");
        sleep(Duration::from_millis(50)).await;
    }
}
