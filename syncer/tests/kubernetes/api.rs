//! A mock API server in memory: objects with resource versions, paged lists, watches that replay changes, selectors, and
//! faults on request. The client calls it directly, without a network.

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

use crate::query::{Query, matches};
use crate::response::{ApiResponse, error_status, expired, line, response};

/// The namespace of all objects.
pub const NAMESPACE: &str = "inference";

/// The kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    PoolV1,
    PoolV1Alpha2,
    Pod,
    EndpointSlice,
}

/// How a watch is interrupted.
#[derive(Clone, Copy, Debug)]
pub enum Interruption {
    /// The response ends, as it does after the watch's duration.
    End,
    /// It ends within an event.
    Partial,
    /// The connection is reset.
    Reset,
}

#[derive(Clone, Default)]
pub struct Api(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    served: BTreeSet<Kind>,
    revision: u64,
    /// Watches from an older revision get 410.
    oldest: u64,
    objects: BTreeMap<(Kind, String), Value>,
    log: Vec<Change>,
    watches: Vec<Watch>,
    faults: Faults,
    requests: Vec<String>,
}

#[derive(Default)]
struct Faults {
    unreachable: bool,
    hanging: bool,
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

// === impl Kind ===

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::PoolV1 => "/apis/inference.networking.k8s.io/v1/namespaces/inference/inferencepools",
            Self::PoolV1Alpha2 => "/apis/inference.networking.x-k8s.io/v1alpha2/namespaces/inference/inferencepools",
            Self::Pod => "/api/v1/namespaces/inference/pods",
            Self::EndpointSlice => "/apis/discovery.k8s.io/v1/namespaces/inference/endpointslices",
        }
    }
}

// === impl Api ===

impl Api {
    /// A server of pods and these kinds.
    pub fn serving(kinds: &[Kind]) -> Self {
        let api = Self::default();
        api.state().served.insert(Kind::Pod);
        api.state().served.extend(kinds);
        api
    }

    pub fn client(&self) -> Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let response = api.respond(&request);
            let hanging = api.state().faults.hanging;
            async move {
                if hanging {
                    std::future::pending().await
                } else {
                    response
                }
            }
        });
        Client::new(service, NAMESPACE)
    }

    /// Creates or replaces an object.
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

    /// Installs the CRD.
    pub fn serve(&self, kind: Kind) {
        self.state().served.insert(kind);
    }

    /// Refuses connections and resets the open ones, or accepts connections again.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.state().faults.unreachable = unreachable;
        if unreachable {
            self.interrupt(Interruption::Reset);
        }
    }

    /// Stops responding, or responds again.
    pub fn set_hanging(&self, hanging: bool) {
        self.state().faults.hanging = hanging;
    }

    pub fn forbid(&self, verb: &'static str, kind: Kind) {
        self.state().faults.forbidden.insert((verb, kind));
    }

    pub fn permit(&self, verb: &'static str, kind: Kind) {
        self.state().faults.forbidden.remove(&(verb, kind));
    }

    /// Interrupts all watches.
    pub fn interrupt(&self, how: Interruption) {
        for watch in self.state().watches.drain(..) {
            let last = match how {
                Interruption::End => continue,
                Interruption::Partial => Ok(Bytes::from_static(b"{\"type\":\"ADDED\",\"object\":{\"kind\":\"P")),
                Interruption::Reset => Err(Error::from(ErrorKind::ConnectionReset)),
            };
            let _ = watch.events.send(last);
        }
    }

    /// Drops the log of changes, so that watches can no longer start from earlier revisions.
    pub fn compact(&self) {
        let mut state = self.state();
        state.oldest = state.revision;
        state.log.clear();
    }

    /// Ends all watches with 410.
    pub fn expire_watches(&self) {
        self.compact();
        for watch in self.state().watches.drain(..) {
            let _ = watch.events.send(Ok(expired()));
        }
    }

    /// Sends a bookmark to all watches, after changes that match none of them.
    pub fn bookmark(&self) {
        let mut state = self.state();
        state.revision += 10;
        let metadata = json!({"resourceVersion": state.revision.to_string(), "annotations": {}});
        let bookmark = json!({"apiVersion": "v1", "kind": "Any", "metadata": metadata});
        state
            .watches
            .retain(|watch| watch.events.send(Ok(line("BOOKMARK", &bookmark))).is_ok());
    }

    /// The requests since the last call, as `list` or `watch`, and path with query.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn respond(&self, request: &Request<Body>) -> Result<ApiResponse, Error> {
        let mut state = self.state();
        let query = Query::of(request.uri());
        let verb = if query.watch { "watch" } else { "list" };
        state.requests.push(format!("{verb} {}", request.uri()));
        if state.faults.unreachable {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let path = request.uri().path();
        let kinds = [Kind::PoolV1, Kind::PoolV1Alpha2, Kind::Pod, Kind::EndpointSlice];
        let kind = kinds
            .into_iter()
            .find(|kind| kind.path() == path)
            .expect("a path that the mock serves");
        if state.faults.forbidden.contains(&(verb, kind)) {
            let resource = path.rsplit('/').next().expect("a path");
            let message = format!("{resource} is forbidden: User \"syncer\" cannot {verb} resource \"{resource}\"");
            return Ok(error_status(StatusCode::FORBIDDEN, "Forbidden", &message));
        }
        if !state.served.contains(&kind) {
            return Ok(response(StatusCode::NOT_FOUND, "404 page not found\n".into()));
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

    fn list(&self, kind: Kind, query: &Query) -> ApiResponse {
        let after = (kind, query.after.clone().unwrap_or_default());
        let matching = self
            .objects
            .range((Bound::Excluded(after), Bound::Unbounded))
            .take_while(|((of, _), _)| *of == kind)
            .filter(|(_, object)| matches(query, object));
        // One more than the limit shows whether there is another page.
        let mut items: Vec<_> = matching.map(|(_, object)| object).take(query.limit + 1).collect();
        let mut metadata = json!({"resourceVersion": self.revision.to_string()});
        if items.len() > query.limit {
            items.truncate(query.limit);
            metadata["continue"] = items[query.limit - 1]["metadata"]["name"].clone();
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items});
        response(StatusCode::OK, list.to_string())
    }

    fn watch(&mut self, kind: Kind, query: Query) -> ApiResponse {
        let (events, mut receiver) = unbounded_channel();
        if query.revision < self.oldest {
            let _ = events.send(Ok(expired()));
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
    /// The event for a watch. An object that no longer matches its selector is deleted.
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
