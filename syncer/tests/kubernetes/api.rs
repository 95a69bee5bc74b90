//! A mock API server in memory: objects with resource versions, paged lists, watches that replay and go on, selectors on
//! its own side, and faults on request. It answers the client directly; there is no network.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::answer::{Page, answer, gone, line, refusal};
use crate::query::{Query, matches};

/// Where all objects are.
pub const NAMESPACE: &str = "inference";

/// What the mock can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    PoolV1,
    PoolV1Alpha2,
    Pod,
}

/// How a watch is cut.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// The answer ends, as it does after the watch's time.
    End,
    /// It ends amidst an event.
    Halfway,
    /// The connection breaks.
    Reset,
}

#[derive(Clone, Default)]
pub struct Api(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    served: BTreeSet<Kind>,
    revision: u64,
    /// Watches of an older revision are told that it is gone.
    oldest: u64,
    objects: BTreeMap<(Kind, String), Value>,
    log: Vec<Change>,
    watches: Vec<Watch>,
    faults: Faults,
    requests: Vec<String>,
}

#[derive(Default)]
struct Faults {
    away: bool,
    silent: bool,
    forbidden: BTreeSet<(&'static str, Kind)>,
}

#[derive(Clone)]
struct Change {
    revision: u64,
    kind: Kind,
    before: Option<Value>,
    after: Option<Value>,
}

struct Watch {
    kind: Kind,
    query: Query,
    events: UnboundedSender<Result<Bytes, Error>>,
}

type Answer = Result<Page, Error>;

// === impl Kind ===

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::PoolV1 => "/apis/inference.networking.k8s.io/v1/namespaces/inference/inferencepools",
            Self::PoolV1Alpha2 => "/apis/inference.networking.x-k8s.io/v1alpha2/namespaces/inference/inferencepools",
            Self::Pod => "/api/v1/namespaces/inference/pods",
        }
    }
}

// === impl Api ===

impl Api {
    /// One that serves pods and these.
    pub fn serving(kinds: &[Kind]) -> Self {
        let api = Self::default();
        api.state().served.insert(Kind::Pod);
        api.state().served.extend(kinds);
        api
    }

    pub fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let answer = api.answer(&request);
            let silent = api.state().faults.silent;
            async move { if silent { std::future::pending().await } else { answer } }
        });
        Client::new(service, NAMESPACE)
    }

    /// Makes an object, or changes it.
    pub fn put(&self, kind: Kind, name: &str, mut object: Value) {
        let mut state = self.state();
        state.revision += 1;
        object["metadata"]["name"] = name.into();
        object["metadata"]["resourceVersion"] = state.revision.to_string().into();
        let before = state.objects.insert((kind, name.to_owned()), object.clone());
        state.record(kind, before, Some(object));
    }

    pub fn delete(&self, kind: Kind, name: &str) {
        let mut state = self.state();
        state.revision += 1;
        let mut before = state
            .objects
            .remove(&(kind, name.to_owned()))
            .expect("an object of that name");
        before["metadata"]["resourceVersion"] = state.revision.to_string().into();
        state.record(kind, Some(before), None);
    }

    /// The CRD is installed.
    pub fn serve(&self, kind: Kind) {
        self.state().served.insert(kind);
    }

    /// The API server goes away, with all connections, or comes back.
    pub fn away(&self, away: bool) {
        self.state().faults.away = away;
        if away {
            self.cut(Cut::Reset);
        }
    }

    /// Nothing is answered any more, or it is again.
    pub fn silent(&self, silent: bool) {
        self.state().faults.silent = silent;
    }

    pub fn forbid(&self, verb: &'static str, kind: Kind) {
        self.state().faults.forbidden.insert((verb, kind));
    }

    pub fn permit(&self, verb: &'static str, kind: Kind) {
        self.state().faults.forbidden.remove(&(verb, kind));
    }

    /// Ends all watches.
    pub fn cut(&self, how: Cut) {
        for watch in self.state().watches.drain(..) {
            let last = match how {
                Cut::End => continue,
                Cut::Halfway => Ok(Bytes::from_static(b"{\"type\":\"ADDED\",\"object\":{\"kind\":\"P")),
                Cut::Reset => Err(Error::from(ErrorKind::ConnectionReset)),
            };
            let _ = watch.events.send(last);
        }
    }

    /// Forgets what changed so far: a watch can no longer start from there.
    pub fn forget(&self) {
        let mut state = self.state();
        state.oldest = state.revision;
        state.log.clear();
    }

    /// Tells all watches that they are out of date.
    pub fn expire(&self) {
        self.forget();
        for watch in self.state().watches.drain(..) {
            let _ = watch.events.send(Ok(gone()));
        }
    }

    /// Tells all watches how far they have come, after changes that concern none of them.
    pub fn bookmark(&self) {
        let mut state = self.state();
        state.revision += 10;
        let metadata = json!({"resourceVersion": state.revision.to_string(), "annotations": {}});
        let bookmark = json!({"apiVersion": "v1", "kind": "Any", "metadata": metadata});
        state
            .watches
            .retain(|watch| watch.events.send(Ok(line("BOOKMARK", &bookmark))).is_ok());
    }

    /// The requests since this was asked last, as `list` or `watch` and path with query.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn answer(&self, request: &Request<Body>) -> Answer {
        let mut state = self.state();
        let query = Query::of(request.uri());
        let verb = if query.watch { "watch" } else { "list" };
        state.requests.push(format!("{verb} {}", request.uri()));
        if state.faults.away {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let path = request.uri().path();
        let kinds = [Kind::PoolV1, Kind::PoolV1Alpha2, Kind::Pod];
        let kind = kinds
            .into_iter()
            .find(|kind| kind.path() == path)
            .expect("a path of the mock");
        if state.faults.forbidden.contains(&(verb, kind)) {
            let resource = if kind == Kind::Pod { "pods" } else { "inferencepools" };
            let message = format!("{resource} is forbidden: User \"syncer\" cannot {verb} resource \"{resource}\"");
            return Ok(refusal(StatusCode::FORBIDDEN, "Forbidden", &message));
        }
        if !state.served.contains(&kind) {
            return Ok(answer(StatusCode::NOT_FOUND, "404 page not found\n".into()));
        }
        Ok(if query.watch {
            state.watch(kind, query)
        } else {
            state.list(kind, &query)
        })
    }
}

// === impl State ===

impl State {
    fn record(&mut self, kind: Kind, before: Option<Value>, after: Option<Value>) {
        let revision = self.revision;
        let change = Change {
            revision,
            kind,
            before,
            after,
        };
        self.watches
            .retain(|watch| match change.event(watch.kind, &watch.query) {
                Some(event) => watch.events.send(Ok(event)).is_ok(),
                None => !watch.events.is_closed(),
            });
        self.log.push(change);
    }

    fn list(&self, kind: Kind, query: &Query) -> Page {
        let after = (kind, query.after.clone().unwrap_or_default());
        let matching = self
            .objects
            .range((Bound::Excluded(after), Bound::Unbounded))
            .take_while(|((of, _), _)| *of == kind)
            .filter(|(_, object)| matches(query, object));
        // One more shows whether there is another page.
        let mut items: Vec<_> = matching.map(|(_, object)| object).take(query.limit + 1).collect();
        let mut metadata = json!({"resourceVersion": self.revision.to_string()});
        if items.len() > query.limit {
            items.truncate(query.limit);
            metadata["continue"] = items[query.limit - 1]["metadata"]["name"].clone();
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items});
        answer(StatusCode::OK, list.to_string())
    }

    fn watch(&mut self, kind: Kind, query: Query) -> Page {
        let (events, mut receiver) = unbounded_channel();
        if query.revision < self.oldest {
            let _ = events.send(Ok(gone()));
        } else {
            let since = self.log.iter().filter(|change| change.revision > query.revision);
            since.filter_map(|change| change.event(kind, &query)).for_each(|event| {
                let _ = events.send(Ok(event));
            });
            self.watches.push(Watch { kind, query, events });
        }
        let events = stream::poll_fn(move |context| receiver.poll_recv(context));
        Response::new(StreamBody::new(events.map(|event| event.map(Frame::data))).boxed_unsync())
    }
}

// === impl Change ===

impl Change {
    /// As a watch sees it: an object that no longer matches its selector is deleted for it.
    fn event(&self, kind: Kind, query: &Query) -> Option<Bytes> {
        if kind != self.kind {
            return None;
        }
        let matching = |object: &Option<Value>| object.as_ref().is_some_and(|object| matches(query, object));
        let (before, after) = (matching(&self.before), matching(&self.after));
        let object = self.after.as_ref().or(self.before.as_ref())?;
        match (before, after) {
            (false, false) => None,
            (false, true) => Some(line("ADDED", object)),
            (true, true) => Some(line("MODIFIED", object)),
            (true, false) => Some(line("DELETED", object)),
        }
    }
}
