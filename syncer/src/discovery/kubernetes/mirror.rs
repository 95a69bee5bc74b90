//! A copy of some of the API server's objects, kept up to date: a list, then a watch that resumes where it was cut, and
//! another list when it can't. Through all failures the last copy stays, and is swapped whole.
//!
//! kube's watcher does list, watch and resume. What it leaves to its user is here: when to try again, what counts as a
//! failure, and a cap. After any error that it reports a new one starts with a list, because a watch that works again
//! shows nothing until an object changes, and a list tells at once that the API server is back.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::runtime::watcher::{self, DefaultBackoff, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::failure::Failure;
use crate::discovery::MAX_TARGETS;

/// Most objects that are kept, some hundred bytes each. A part of a larger pool would be averages that are not true, so then
/// the last set that was whole stays.
pub(super) const MAX_OBJECTS: usize = MAX_TARGETS;
/// Objects of one answer to a list: of pods a few megabytes, in memory for a moment.
const PAGE: u32 = 250;
/// How long a watch lasts before it is asked for again. A connection that died without a word is found out a little later.
pub(super) const WATCH_SECONDS: u32 = 60;
/// How long the API server may take for a page of a list.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long until it is asked again for what it did not serve: a CRD that is installed later is found by then.
const RECHECK: Duration = Duration::from_secs(15);
/// A watch that breaks sooner after its list never worked: that is a failure, and not a cut to be mended in silence.
const TOO_SOON: Duration = Duration::from_secs(1);

/// The objects as they were last seen, and whether that is up to date.
pub(super) struct Mirror<K, T> {
    api: Api<K>,
    config: watcher::Config,
    read: fn(&K) -> T,
    backoff: DefaultBackoff,
    phase: Phase<K, T>,
    objects: Option<BTreeMap<String, T>>,
    failure: Option<Failure>,
    lists: u64,
}

enum Phase<K, T> {
    Resting {
        until: Instant,
    },
    Listing {
        events: Events<K>,
        listed: BTreeMap<String, T>,
        deadline: Instant,
    },
    Watching {
        events: Events<K>,
        since: Instant,
    },
}

type Events<K> = BoxStream<'static, watcher::Result<Event<K>>>;

// === impl Mirror ===

impl<K, T> Mirror<K, T>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    T: PartialEq,
{
    /// Nothing is known yet, and nothing asked. `read` takes from an object what matters.
    pub fn new(api: Api<K>, config: watcher::Config, read: fn(&K) -> T) -> Self {
        Self {
            api,
            config: config.timeout(WATCH_SECONDS).page_size(PAGE),
            read,
            backoff: DefaultBackoff::default(),
            phase: Phase::Resting { until: Instant::now() },
            objects: None,
            failure: None,
            lists: 0,
        }
    }

    /// By name, as they were last seen; `None` before they ever were. Of what the API server does not serve there are none.
    pub fn objects(&self) -> Option<&BTreeMap<String, T>> {
        self.objects.as_ref()
    }

    /// Why they may have changed since.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// How many lists came whole: after one the API server is known to be there.
    pub fn lists(&self) -> u64 {
        self.lists
    }

    /// The API server is there: asks now, if it was only that it was away.
    pub fn hurry(&mut self) {
        if let (Phase::Resting { until }, Some(Failure::Silent(_) | Failure::Unreachable(_))) =
            (&mut self.phase, &self.failure)
        {
            *until = Instant::now();
        }
    }

    /// Waits until something changed, or was listed anew. May be dropped while it waits, and called again, with nothing lost.
    pub async fn changed(&mut self) {
        while !self.step().await {}
    }

    /// Waits once, then takes it in; whether something changed.
    async fn step(&mut self) -> bool {
        match &mut self.phase {
            Phase::Resting { until } => {
                sleep_until(*until).await;
                self.phase = Phase::Listing {
                    events: watcher(self.api.clone(), self.config.clone()).boxed(),
                    listed: BTreeMap::new(),
                    deadline: Instant::now() + LIST_TIMEOUT,
                };
                false
            }
            Phase::Listing { events, deadline, .. } => match timeout_at(*deadline, events.next()).await {
                Ok(event) => self.take(event),
                Err(_) => self.fail(Failure::Silent(LIST_TIMEOUT)),
            },
            Phase::Watching { events, .. } => {
                let event = events.next().await;
                self.take(event)
            }
        }
    }

    fn take(&mut self, event: Option<watcher::Result<Event<K>>>) -> bool {
        match event {
            Some(Ok(Event::Init)) => false,
            Some(Ok(Event::InitApply(object))) => self.list(&object),
            Some(Ok(Event::InitDone)) => self.swap(),
            Some(Ok(Event::Apply(object))) => self.apply(&object),
            Some(Ok(Event::Delete(object))) => self.delete(&object.name_any()),
            Some(Err(error)) => self.broken(Failure::from(&error)),
            // The watcher never ends by itself.
            None => self.rest(RECHECK),
        }
    }

    fn list(&mut self, object: &K) -> bool {
        let Phase::Listing { listed, deadline, .. } = &mut self.phase else {
            return false;
        };
        *deadline = Instant::now() + LIST_TIMEOUT;
        listed.insert(object.name_any(), (self.read)(object));
        listed.len() > MAX_OBJECTS && self.fail(Failure::TooMany(MAX_OBJECTS))
    }

    /// The list is whole.
    fn swap(&mut self) -> bool {
        match std::mem::replace(&mut self.phase, Phase::Resting { until: Instant::now() }) {
            Phase::Listing { events, listed, .. } => {
                let since = Instant::now();
                self.phase = Phase::Watching { events, since };
                self.objects = Some(listed);
                self.failure = None;
                self.lists += 1;
                true
            }
            other => {
                self.phase = other;
                false
            }
        }
    }

    fn apply(&mut self, object: &K) -> bool {
        let objects = self.objects.get_or_insert_default();
        let (name, new) = (object.name_any(), (self.read)(object));
        if objects.get(&name) == Some(&new) {
            return false;
        }
        if objects.len() >= MAX_OBJECTS && !objects.contains_key(&name) {
            return self.fail(Failure::TooMany(MAX_OBJECTS));
        }
        objects.insert(name, new);
        true
    }

    fn delete(&mut self, name: &str) -> bool {
        self.objects
            .as_mut()
            .is_some_and(|objects| objects.remove(name).is_some())
    }

    /// The watcher reported an error: lists again, and says so unless it was a watch that was only cut.
    fn broken(&mut self, failure: Failure) -> bool {
        let cut = match (&self.phase, &failure) {
            (_, Failure::NotServed | Failure::Forbidden(_) | Failure::Unauthorized(_)) => false,
            (Phase::Watching { since, .. }, _) => since.elapsed() >= TOO_SOON,
            (Phase::Listing { .. } | Phase::Resting { .. }, _) => false,
        };
        if cut {
            let pause = self.pause();
            self.rest(pause)
        } else {
            self.fail(failure)
        }
    }

    fn fail(&mut self, failure: Failure) -> bool {
        let mut changed = self.failure.as_ref() != Some(&failure);
        let pause = match failure {
            Failure::NotServed => {
                changed |= self.objects.as_ref().is_none_or(|objects| !objects.is_empty());
                self.objects = Some(BTreeMap::new());
                RECHECK
            }
            _ => self.pause(),
        };
        self.failure = Some(failure);
        self.rest(pause);
        changed
    }

    fn rest(&mut self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        self.phase = Phase::Resting { until };
        false
    }

    /// Twice as long each time, until it has been well for two minutes.
    fn pause(&mut self) -> Duration {
        self.backoff.next().unwrap_or(RECHECK)
    }
}
