//! Owns the log of the requests that manage a server: health, models, loads and unloads. Inference and `/metrics` are not
//! logged: there are too many of them.

use std::collections::VecDeque;

use tokio::time::Instant;

/// Requests kept; older ones are dropped. A test that sends more takes them in between.
const MAX_REQUESTS: usize = 16_384;
/// Bytes kept of a body: a load's is far smaller.
const MAX_BODY: usize = 16 << 10;

/// A request as it was received, whatever the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRequest {
    /// When the end of its body was read.
    pub at: Instant,
    /// `GET` or `POST`.
    pub method: String,
    /// The path, without a query.
    pub path: String,
    /// The header `authorization`.
    pub authorization: Option<String>,
    /// The body as text, cut at 16 KiB.
    pub body: String,
}

/// The requests of one server, in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct RequestLog(VecDeque<ReceivedRequest>);

// === impl ReceivedRequest ===

impl ReceivedRequest {
    /// `METHOD PATH BODY`, or `METHOD PATH` if the body is empty.
    pub fn line(&self) -> String {
        let Self {
            at: _,
            method,
            path,
            authorization: _,
            body,
        } = self;
        format!("{method} {path} {body}").trim_end().to_owned()
    }
}

// === impl RequestLog ===

impl RequestLog {
    pub(crate) fn add(&mut self, mut request: ReceivedRequest) {
        if request.body.len() > MAX_BODY {
            request.body.truncate(request.body.floor_char_boundary(MAX_BODY));
        }
        if self.0.len() == MAX_REQUESTS {
            self.0.pop_front();
        }
        self.0.push_back(request);
    }

    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        self.0.iter().cloned().collect()
    }

    pub(crate) fn take(&mut self) -> Vec<ReceivedRequest> {
        std::mem::take(&mut self.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_requests_and_the_ends_of_long_bodies_are_dropped() {
        let request = |path: String, body: String| ReceivedRequest {
            at: Instant::now(),
            method: "GET".to_owned(),
            path,
            authorization: None,
            body,
        };
        let mut log = RequestLog::default();
        for count in 0..=MAX_REQUESTS {
            log.add(request(count.to_string(), String::new()));
        }
        assert_eq!(
            (log.requests().len(), log.requests()[0].line()),
            (MAX_REQUESTS, "GET 1".to_owned())
        );
        log.take();
        log.add(request(String::new(), "é".repeat(MAX_BODY)));
        assert_eq!(log.take()[0].body.len(), MAX_BODY);
        assert!(log.requests().is_empty());
    }
}
