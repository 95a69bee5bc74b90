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
use crate::target::{PoolId, Target};
use crate::url::with_default_path;

/// How pods are scraped, and where the results go.
#[derive(Clone, Debug)]
pub(super) struct ScraperConfig {
    pub client: Client,
    pub schedule: Schedule,
    /// The metrics path of targets whose URL has none.
    pub default_path: PathAndQuery,
    pub options: EngineOptions,
    pub attempts: Sender<PodAttempt>,
}

/// A scrape of a pool's target.
#[derive(Debug)]
pub(super) struct PodAttempt {
    pub pool: PoolId,
    pub target: Target,
    pub attempt: Attempt<ServerLoad>,
}

/// The tasks that scrape the pods of a pool. A task is aborted when its target is removed, or when this is dropped.
#[derive(Debug)]
pub(super) struct PodScrapers {
    pool: PoolId,
    config: ScraperConfig,
    tasks: HashMap<TaskKey, AbortOnDropHandle<()>>,
}

/// Name, URL and engine label. A change of readiness does not restart the task.
type TaskKey = (Arc<str>, Uri, Option<String>);

// === impl ScraperConfig ===

impl ScraperConfig {
    /// The scrapers of a pool, which has no targets yet.
    pub(super) fn scrapers(&self, pool: PoolId) -> PodScrapers {
        PodScrapers {
            pool,
            config: self.clone(),
            tasks: HashMap::new(),
        }
    }
}

// === impl PodScrapers ===

impl PodScrapers {
    /// Starts and aborts tasks so that exactly these targets are scraped.
    pub(super) fn update<'a>(&mut self, targets: impl Iterator<Item = &'a Target>) {
        let mut previous = std::mem::take(&mut self.tasks);
        for target in targets {
            let Some(url) = &target.url else { continue };
            let url = with_default_path(url, &self.config.default_path);
            let key = (Arc::clone(&target.name), url.clone(), target.engine.clone());
            let task = previous.remove(&key).unwrap_or_else(|| self.start(target.clone(), url));
            self.tasks.insert(key, task);
        }
    }

    /// The options for this target. `--engine` overrides the pod's label.
    fn options(&self, target: &Target) -> EngineOptions {
        let mut options = self.config.options.clone();
        if let (None, Some(label)) = (options.engine, &target.engine) {
            options.engine = label
                .parse()
                .inspect_err(|error| {
                    tracing::warn!(pool = %self.pool, pod = %target.name, %error, "ignoring the pod's engine label, the engine is detected");
                })
                .ok();
        }
        options
    }

    fn start(&self, target: Target, url: Uri) -> AbortOnDropHandle<()> {
        let options = self.options(&target);
        let pool = self.pool.clone();
        let (client, attempts) = (self.config.client.clone(), self.config.attempts.clone());
        let Schedule { interval, timeout } = self.config.schedule;
        let task = async move {
            let mut ticks = Ticks::new(interval);
            let mut log = ScrapeLog::new("pod", Arc::clone(&target.name), Some(pool.clone()));
            loop {
                ticks.next().await;
                let read = |page: &Page| engine::read(page.body.pieces(), page.format, &options);
                let attempt = attempt(&client, &url, timeout, read).await;
                log.record(&attempt);
                let (pool, target) = (pool.clone(), target.clone());
                if attempts.send(PodAttempt { pool, target, attempt }).await.is_err() {
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
    /// Of a pod; pods of two pools may have the same name.
    pool: Option<PoolId>,
    /// The reason; for TLS with the message, which is the same for each attempt: after a certificate is replaced, the next
    /// one to be rejected is news.
    failing: Option<(Reason, Option<String>)>,
}

// === impl ScrapeLog ===

impl ScrapeLog {
    pub(super) fn new(kind: &'static str, name: Arc<str>, pool: Option<PoolId>) -> Self {
        Self {
            kind,
            name,
            pool,
            failing: None,
        }
    }

    pub(super) fn record<T>(&mut self, attempt: &Attempt<T>) {
        let error = attempt.result.as_ref().err();
        let failing = error.map(|error| {
            let message = (error.reason == Reason::Tls).then(|| error.message.clone());
            (error.reason, message)
        });
        let is_new = failing != self.failing;
        let previous = std::mem::replace(&mut self.failing, failing);
        let Self {
            kind,
            name,
            pool,
            failing: _,
        } = self;
        let pool = pool.as_ref().map(tracing::field::display);
        match error {
            Some(error) if is_new => {
                let reason = error.reason.as_str();
                tracing::warn!(pool, %name, reason, error = error.message, "scrape of {kind} failed, retrying each interval");
            }
            None if previous.is_some() => tracing::info!(pool, %name, "scrape of {kind} succeeded again"),
            _ => {}
        }
    }
}
