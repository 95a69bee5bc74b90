//! Owns the list of the calls that manage a server: its health, its models, loads and unloads. Inference and `/metrics`
//! stay out of it: there are too many of them.

use std::collections::VecDeque;

use tokio::time::Instant;

/// Calls kept; older ones are forgotten. A test that makes more takes them in between.
const MAX_CALLS: usize = 16_384;
/// Bytes kept of a body: a load's is far smaller.
const MAX_BODY: usize = 16 << 10;

/// A call as it was received, whatever it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When its body was read to its end.
    pub at: Instant,
    /// `GET` or `POST`.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its header `authorization`.
    pub authorization: Option<String>,
    /// Its body as text.
    pub body: String,
}

/// The calls of one server, in order.
#[derive(Debug, Default)]
pub(crate) struct Journal(VecDeque<Call>);

// === impl Call ===

impl Call {
    /// The method, the path and the body, with a space between them and none at the end.
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

// === impl Journal ===

impl Journal {
    pub(crate) fn add(&mut self, mut call: Call) {
        if call.body.len() > MAX_BODY {
            call.body.truncate(call.body.floor_char_boundary(MAX_BODY));
        }
        if self.0.len() == MAX_CALLS {
            self.0.pop_front();
        }
        self.0.push_back(call);
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.0.iter().cloned().collect()
    }

    pub(crate) fn take(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_calls_and_the_ends_of_long_bodies_are_forgotten() {
        let call = |path: String, body: String| Call {
            at: Instant::now(),
            method: "GET".to_owned(),
            path,
            authorization: None,
            body,
        };
        let mut journal = Journal::default();
        for count in 0..=MAX_CALLS {
            journal.add(call(count.to_string(), String::new()));
        }
        assert_eq!(
            (journal.calls().len(), journal.calls()[0].line()),
            (MAX_CALLS, "GET 1".to_owned())
        );
        journal.take();
        journal.add(call(String::new(), "é".repeat(MAX_BODY)));
        assert_eq!(journal.take()[0].body.len(), MAX_BODY);
        assert!(journal.calls().is_empty());
    }
}
