//! The tasks that scrape pods, one per pod. A slow or dead pod delays no other.

use std::collections::HashMap;
use std::sync::Arc;

use http::Uri;
use http::uri::PathAndQuery;
use tokio::sync::mpsc::Sender;
use tokio_util::task::AbortOnDropHandle;

use crate::engine::{self, EngineOptions, ServerLoad};
use crate::scrape::fetch::{Client, Page};
use crate::scrape::schedule::{Schedule, Ticks, attempt};
use crate::scrape_status::{Attempt, Reason};
use crate::target::Target;
use crate::url::with_default_path;

/// The tasks that scrape pods. A task is aborted when its target is removed, or when this is dropped.
#[derive(Debug)]
pub(super) struct PodScrapers {
    client: Client,
    schedule: Schedule,
    /// The metrics path of targets whose URL has none.
    default_path: PathAndQuery,
    options: EngineOptions,
    attempts: Sender<(Target, Attempt<ServerLoad>)>,
    tasks: HashMap<TaskKey, AbortOnDropHandle<()>>,
}

/// Name, URL and engine label. A change of readiness does not restart the task.
type TaskKey = (Arc<str>, Uri, Option<String>);

// === impl PodScrapers ===

impl PodScrapers {
    pub(super) fn new(
        client: Client,
        schedule: Schedule,
        default_path: PathAndQuery,
        options: EngineOptions,
        attempts: Sender<(Target, Attempt<ServerLoad>)>,
    ) -> Self {
        Self {
            client,
            schedule,
            default_path,
            options,
            attempts,
            tasks: HashMap::new(),
        }
    }

    /// Starts and aborts tasks so that exactly these targets are scraped.
    pub(super) fn update<'a>(&mut self, targets: impl Iterator<Item = &'a Target>) {
        let mut previous = std::mem::take(&mut self.tasks);
        for target in targets {
            let Some(url) = &target.url else { continue };
            let url = with_default_path(url, &self.default_path);
            let key = (Arc::clone(&target.name), url.clone(), target.engine.clone());
            let task = previous.remove(&key).unwrap_or_else(|| self.start(target.clone(), url));
            self.tasks.insert(key, task);
        }
    }

    /// The options for this target. `--engine` overrides the pod's label.
    fn options(&self, target: &Target) -> EngineOptions {
        let mut options = self.options.clone();
        if let (None, Some(label)) = (options.engine, &target.engine) {
            options.engine = label
                .parse()
                .inspect_err(|error| {
                    tracing::warn!(pod = %target.name, %error, "ignoring the pod's engine label, the engine is detected");
                })
                .ok();
        }
        options
    }

    fn start(&self, target: Target, url: Uri) -> AbortOnDropHandle<()> {
        let options = self.options(&target);
        let (client, attempts) = (self.client.clone(), self.attempts.clone());
        let Schedule { interval, timeout } = self.schedule;
        let task = async move {
            let mut ticks = Ticks::new(interval);
            let mut log = ScrapeLog::new("pod", Arc::clone(&target.name));
            loop {
                ticks.next().await;
                let read = |page: &Page| engine::read(&page.body, page.format, &options);
                let attempt = attempt(&client, &url, timeout, read).await;
                log.record(&attempt);
                if attempts.send((target.clone(), attempt)).await.is_err() {
                    return;
                }
            }
        };
        AbortOnDropHandle::new(tokio::spawn(task))
    }
}

/// Logs when the scrapes of a target begin to fail, fail for another reason, or recover; not each failure.
pub(super) struct ScrapeLog {
    kind: &'static str,
    name: Arc<str>,
    failing: Option<Reason>,
}

// === impl ScrapeLog ===

impl ScrapeLog {
    pub(super) fn new(kind: &'static str, name: Arc<str>) -> Self {
        Self {
            kind,
            name,
            failing: None,
        }
    }

    pub(super) fn record<T>(&mut self, attempt: &Attempt<T>) {
        let error = attempt.result.as_ref().err();
        let previous = std::mem::replace(&mut self.failing, error.map(|error| error.reason));
        let Self { kind, name, .. } = self;
        match error {
            Some(error) if previous != Some(error.reason) => {
                let reason = error.reason.as_str();
                tracing::warn!(%name, reason, error = error.message, "scrape of {kind} failed, retrying each interval");
            }
            None if previous.is_some() => tracing::info!(%name, "scrape of {kind} succeeded again"),
            _ => {}
        }
    }
}
