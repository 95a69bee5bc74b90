//! The tasks that read pods and Envoys: one each, ended with their target.

use std::collections::HashMap;
use std::sync::Arc;

use http::Uri;
use http::uri::PathAndQuery;
use tokio::sync::mpsc::Sender;

use crate::app::Task;
use crate::discovery::Target;
use crate::discovery::target::with_path;
use crate::engine::{self, Reading, ServerLoad};
use crate::envoy::{self, EnvoyPage};
use crate::scrape::Reason;
use crate::scrape::fetch::{Client, Page};
use crate::scrape::schedule::{Attempt, Schedule, Ticks, attempt};

/// The pods' tasks.
#[derive(Debug)]
pub(super) struct PodScrapers {
    client: Client,
    schedule: Schedule,
    /// Where the metrics are of a target that doesn't say.
    path: PathAndQuery,
    reading: Reading,
    attempts: Sender<(Target, Attempt<ServerLoad>)>,
    tasks: HashMap<Key, Task>,
}

/// What makes a task another one. That a pod becomes ready does not.
type Key = (Arc<str>, Uri, Option<String>);

// === impl PodScrapers ===

impl PodScrapers {
    pub(super) fn new(
        client: Client,
        schedule: Schedule,
        path: PathAndQuery,
        reading: Reading,
        attempts: Sender<(Target, Attempt<ServerLoad>)>,
    ) -> Self {
        Self {
            client,
            schedule,
            path,
            reading,
            attempts,
            tasks: HashMap::new(),
        }
    }

    /// Reads these targets from now on, and no others.
    pub(super) fn follow<'a>(&mut self, targets: impl Iterator<Item = &'a Target>) {
        let mut before = std::mem::take(&mut self.tasks);
        for target in targets {
            let Some(url) = &target.url else { continue };
            let url = with_path(url, &self.path);
            let key = (Arc::clone(&target.name), url.clone(), target.engine.clone());
            let task = before.remove(&key).unwrap_or_else(|| self.start(target.clone(), url));
            self.tasks.insert(key, task);
        }
    }

    /// A flag that forces the engine is stronger than the pod's label.
    fn reading(&self, target: &Target) -> Reading {
        let mut reading = self.reading.clone();
        if let (None, Some(label)) = (reading.engine, &target.engine) {
            reading.engine = label
                .parse()
                .inspect_err(|error| {
                    tracing::warn!(pod = %target.name, %error, "the pod's label is not heeded; what it serves tells the engine");
                })
                .ok();
        }
        reading
    }

    fn start(&self, target: Target, url: Uri) -> Task {
        let reading = self.reading(&target);
        let (client, attempts) = (self.client.clone(), self.attempts.clone());
        let Schedule { every, timeout } = self.schedule;
        let task = async move {
            let mut ticks = Ticks::new(&target.name, every);
            let mut health = Health::new("pod", Arc::clone(&target.name));
            loop {
                ticks.next().await;
                let read = |page: &Page| engine::read(&page.body, page.format, &reading);
                let attempt = attempt(&client, &url, timeout, read).await;
                health.log(&attempt);
                if attempts.send((target.clone(), attempt)).await.is_err() {
                    return;
                }
            }
        };
        Task::spawn(task)
    }
}

/// Starts reading an Envoy.
pub(super) fn start_envoy(
    name: Arc<str>,
    url: Uri,
    client: Client,
    Schedule { every, timeout }: Schedule,
    attempts: Sender<(Arc<str>, Attempt<EnvoyPage>)>,
) -> Task {
    let task = async move {
        let mut ticks = Ticks::new(&name, every);
        let mut health = Health::new("envoy", Arc::clone(&name));
        loop {
            ticks.next().await;
            let attempt = attempt(&client, &url, timeout, |page| envoy::read(&page.body)).await;
            health.log(&attempt);
            if attempts.send((Arc::clone(&name), attempt)).await.is_err() {
                return;
            }
        }
    };
    Task::spawn(task)
}

/// Says in the log when a target begins to fail, in another way, or is well again; not each time.
struct Health {
    kind: &'static str,
    name: Arc<str>,
    failing: Option<Reason>,
}

// === impl Health ===

impl Health {
    fn new(kind: &'static str, name: Arc<str>) -> Self {
        Self {
            kind,
            name,
            failing: None,
        }
    }

    fn log<T>(&mut self, attempt: &Attempt<T>) {
        let now = attempt.outcome.as_ref().err();
        let before = std::mem::replace(&mut self.failing, now.map(|failure| failure.reason));
        match now {
            Some(failure) if before != Some(failure.reason) => {
                tracing::warn!(kind = self.kind, name = %self.name, reason = failure.reason.as_str(), why = failure.why, "cannot be read");
            }
            None if before.is_some() => tracing::info!(kind = self.kind, name = %self.name, "can be read again"),
            _ => {}
        }
    }
}
