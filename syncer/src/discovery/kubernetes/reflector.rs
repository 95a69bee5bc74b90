//! [`Reflector`], a copy of a set of objects of the API server, kept up to date by a list and a watch. The watch resumes
//! where it was interrupted, or the set is listed again. Through failures the last copy stays; a completed
//! list replaces all of it.
//!
//! kube's watcher does list, watch and resume. This module adds when to retry, which interruptions are failures, and a
//! limit. After an error of the watcher it starts a new one with a list: a watch that works again is silent until an
//! object changes, while a list shows at once that the API server is back.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::runtime::watcher::{self, DefaultBackoff, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::error::ApiError;
use crate::target::MAX_TARGETS;

/// Objects that are kept, some hundred bytes each. Averages over part of a larger pool would be wrong, so above the limit
/// the last complete set stays.
pub(super) const MAX_OBJECTS: usize = MAX_TARGETS;
/// Objects per page of a list; a page of pods takes a few megabytes while it is read.
const PAGE_SIZE: u32 = 250;
/// Duration of a watch request. A connection that died silently is noticed a little later.
pub(super) const WATCH_SECONDS: u32 = 60;
/// Timeout of a page of a list.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a resource is requested that the API server does not serve, to notice a CRD that is installed later.
const NOT_SERVED_RETRY: Duration = Duration::from_secs(15);
/// A watch that fails this soon after its list never worked, so it is a failure and not an interruption.
const MIN_WATCH_TIME: Duration = Duration::from_secs(1);

/// The objects as last seen, converted to `T`, and whether they are up to date.
pub(super) struct Reflector<K, T> {
    api: Api<K>,
    config: watcher::Config,
    convert: Convert<K, T>,
    backoff: DefaultBackoff,
    state: State<K, T>,
    objects: Option<BTreeMap<String, T>>,
    error: Option<ApiError>,
    completed_lists: u64,
}

enum State<K, T> {
    Waiting {
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

type Convert<K, T> = Box<dyn Fn(&K) -> T + Send + Sync>;

type Events<K> = BoxStream<'static, watcher::Result<Event<K>>>;

// === impl Reflector ===

impl<K, T> Reflector<K, T>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    T: PartialEq,
{
    /// Requests nothing before [`Reflector::changed`] is polled. `convert` takes what matters from an object.
    pub fn new(api: Api<K>, config: watcher::Config, convert: impl Fn(&K) -> T + Send + Sync + 'static) -> Self {
        Self {
            api,
            config: config.timeout(WATCH_SECONDS).page_size(PAGE_SIZE),
            convert: Box::new(convert),
            backoff: DefaultBackoff::default(),
            state: State::Waiting { until: Instant::now() },
            objects: None,
            error: None,
            completed_lists: 0,
        }
    }

    /// The objects by name, as last seen; `None` before the first list. Empty if the API server does not serve the
    /// resource.
    pub fn objects(&self) -> Option<&BTreeMap<String, T>> {
        self.objects.as_ref()
    }

    /// Why the objects may be out of date.
    pub fn error(&self) -> Option<&ApiError> {
        self.error.as_ref()
    }

    /// How many lists have completed. A new one shows that the API server can be reached.
    pub fn completed_lists(&self) -> u64 {
        self.completed_lists
    }

    /// Ends a wait that is due to an API server that could not be reached.
    pub fn retry_now(&mut self) {
        if let (State::Waiting { until }, Some(ApiError::Timeout(_) | ApiError::Unreachable(_))) =
            (&mut self.state, &self.error)
        {
            *until = Instant::now();
        }
    }

    /// Waits until objects or error have changed or a list has completed. Cancel safe.
    pub async fn changed(&mut self) {
        while !self.step().await {}
    }

    /// Awaits one event and applies it. Whether something changed.
    async fn step(&mut self) -> bool {
        match &mut self.state {
            State::Waiting { until } => {
                sleep_until(*until).await;
                self.state = State::Listing {
                    events: watcher(self.api.clone(), self.config.clone()).boxed(),
                    listed: BTreeMap::new(),
                    deadline: Instant::now() + LIST_TIMEOUT,
                };
                false
            }
            State::Listing { events, deadline, .. } => match timeout_at(*deadline, events.next()).await {
                Ok(event) => self.handle(event),
                Err(_) => self.fail(ApiError::Timeout(LIST_TIMEOUT)),
            },
            State::Watching { events, .. } => {
                let event = events.next().await;
                self.handle(event)
            }
        }
    }

    fn handle(&mut self, event: Option<watcher::Result<Event<K>>>) -> bool {
        match event {
            Some(Ok(Event::Init)) => false,
            Some(Ok(Event::InitApply(object))) => self.add_listed(&object),
            Some(Ok(Event::InitDone)) => self.complete_list(),
            Some(Ok(Event::Apply(object))) => self.apply(&object),
            Some(Ok(Event::Delete(object))) => self.delete(&object.name_any()),
            Some(Err(error)) => self.handle_error(ApiError::from(&error)),
            // The watcher's stream never ends.
            None => self.wait(NOT_SERVED_RETRY),
        }
    }

    fn add_listed(&mut self, object: &K) -> bool {
        let State::Listing { listed, deadline, .. } = &mut self.state else {
            return false;
        };
        *deadline = Instant::now() + LIST_TIMEOUT;
        listed.insert(object.name_any(), (self.convert)(object));
        listed.len() > MAX_OBJECTS && self.fail(ApiError::TooMany(MAX_OBJECTS))
    }

    fn complete_list(&mut self) -> bool {
        match std::mem::replace(&mut self.state, State::Waiting { until: Instant::now() }) {
            State::Listing { events, listed, .. } => {
                let since = Instant::now();
                self.state = State::Watching { events, since };
                self.objects = Some(listed);
                self.error = None;
                self.completed_lists += 1;
                true
            }
            other => {
                self.state = other;
                false
            }
        }
    }

    fn apply(&mut self, object: &K) -> bool {
        let objects = self.objects.get_or_insert_default();
        let (name, new) = (object.name_any(), (self.convert)(object));
        if objects.get(&name) == Some(&new) {
            return false;
        }
        if objects.len() >= MAX_OBJECTS && !objects.contains_key(&name) {
            return self.fail(ApiError::TooMany(MAX_OBJECTS));
        }
        objects.insert(name, new);
        true
    }

    fn delete(&mut self, name: &str) -> bool {
        self.objects
            .as_mut()
            .is_some_and(|objects| objects.remove(name).is_some())
    }

    /// Lists again. A watch that was merely interrupted is not reported as a failure.
    fn handle_error(&mut self, error: ApiError) -> bool {
        let interrupted = match (&self.state, &error) {
            (_, ApiError::NotServed | ApiError::Forbidden(_) | ApiError::Unauthorized(_)) => false,
            (State::Watching { since, .. }, _) => since.elapsed() >= MIN_WATCH_TIME,
            (State::Listing { .. } | State::Waiting { .. }, _) => false,
        };
        if interrupted {
            let delay = self.next_delay();
            self.wait(delay)
        } else {
            self.fail(error)
        }
    }

    fn fail(&mut self, error: ApiError) -> bool {
        let mut changed = self.error.as_ref() != Some(&error);
        let delay = match error {
            ApiError::NotServed => {
                changed |= self.objects.as_ref().is_none_or(|objects| !objects.is_empty());
                self.objects = Some(BTreeMap::new());
                NOT_SERVED_RETRY
            }
            _ => self.next_delay(),
        };
        self.error = Some(error);
        self.wait(delay);
        changed
    }

    fn wait(&mut self, delay: Duration) -> bool {
        let until = Instant::now() + delay;
        self.state = State::Waiting { until };
        false
    }

    /// Exponential; resets after two minutes without an error.
    fn next_delay(&mut self) -> Duration {
        self.backoff.next().unwrap_or(NOT_SERVED_RETRY)
    }
}
