//! For any sequence of events and faults on several servers, the state leaves alone what is not configured, reports
//! nothing as loaded from the configured source that a server does not hold from there, and converges to the
//! configuration.

mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Uri;
use proptest::prelude::*;
use server::{Fault, Kind, Roots, Server, kind};

use super::Reason;
use super::action::Action;
use super::config::{self, Config};
use super::observed::Observed;
use super::request::Operation;
use super::response::{Outcome, TransportError};
use super::state::LoraState;
use super::status::AdapterStatus;
use crate::exposition::{Format, encode};

/// Ids in the lists; the last one is the base model's.
const IDS: [&str; 4] = ["a", "b", "c", "tiny"];
/// Ids that a server or another client may load.
const ADAPTERS: usize = 3;
const SOURCES: [&str; 3] = ["/1", "/2", TYPO];
/// Nothing is there.
const TYPO: &str = "/typo";
/// An adapter that no configuration lists.
const UNLISTED: &str = "unlisted";
/// Longer than every backoff.
const LONG: Duration = Duration::from_secs(7200);

/// An action that completes in a later pass.
struct InFlight {
    /// Of the server.
    index: usize,
    action: Action,
    /// None while it has no effect on the server yet.
    outcomes: Option<Vec<(Operation, Outcome)>>,
}

#[derive(Clone, Debug)]
enum Event {
    Config {
        exist: Vec<(usize, usize)>,
        not_exist: Vec<usize>,
    },
    InvalidConfig,
    /// A server restarts with adapters of its own.
    Restart {
        adapters: Vec<(usize, usize)>,
        /// Whether a poll fails meanwhile.
        noticed: bool,
    },
    FailedPoll,
    /// Another client loads an adapter over whatever is loaded.
    Load(usize, usize),
    /// Another client unloads an adapter.
    Unload(usize),
    /// A poll, and the actions that are planned after it.
    Pass {
        /// Of the requests, in order.
        faults: Vec<Option<Fault>>,
        /// Whether the actions in flight complete during the poll.
        complete: bool,
    },
}

fn yaml(ports: usize, exist: &[(usize, usize)], not_exist: &[usize]) -> String {
    let exist: BTreeMap<_, _> = exist.iter().copied().collect();
    let exist: Vec<_> = exist
        .iter()
        .map(|(id, source)| format!("{{id: {}, source: {}}}", IDS[*id], SOURCES[*source]))
        .collect();
    let not_exist: Vec<_> = not_exist.iter().map(|id| format!("{{id: {}}}", IDS[*id])).collect();
    let (exist, not_exist) = (exist.join(", "), not_exist.join(", "));
    let ports: Vec<_> = (1..=ports).map(|port| port.to_string()).collect();
    format!(
        "vLLMLoRAConfig: {{ports: [{}], ensureExist: {{models: [{exist}]}}, ensureNotExist: {{models: [{not_exist}]}}}}",
        ports.join(", ")
    )
}

fn event() -> impl Strategy<Value = Event> {
    let fault = prop_oneof![
        4 => Just(None),
        1 => Just(Some(Fault::Error)),
        1 => Just(Some(Fault::ResponseLost)),
        1 => Just(Some(Fault::RequestLost)),
        1 => Just(Some(Fault::SlowResponse)),
        1 => Just(Some(Fault::SlowRequest)),
    ];
    let ids = 0..IDS.len();
    let exist = prop::collection::vec((ids.clone(), 0..SOURCES.len()), 0..4);
    let not_exist = prop::collection::vec(ids, 0..3);
    // From sources that exist.
    let adapter = || (0..ADAPTERS, 0..SOURCES.len() - 1);
    prop_oneof![
        3 => (exist, not_exist).prop_map(|(exist, not_exist)| Event::Config { exist, not_exist }),
        1 => Just(Event::InvalidConfig),
        1 => (prop::collection::vec(adapter(), 0..3), any::<bool>())
            .prop_map(|(adapters, noticed)| Event::Restart { adapters, noticed }),
        1 => Just(Event::FailedPoll),
        1 => adapter().prop_map(|(id, source)| Event::Load(id, source)),
        1 => (0..ADAPTERS).prop_map(Event::Unload),
        9 => (prop::collection::vec(fault, 0..8), any::<bool>())
            .prop_map(|(faults, complete)| Event::Pass { faults, complete }),
    ]
}

/// A state, its servers, and what is in flight between them.
struct Run {
    state: LoraState,
    servers: Vec<Server>,
    in_flight: Vec<InFlight>,
    now: Instant,
}

// === impl Run ===

impl Run {
    fn new(kinds: &[Kind]) -> Self {
        Self {
            state: LoraState::default(),
            servers: kinds.iter().copied().map(Server::new).collect(),
            in_flight: Vec::new(),
            now: tokio::time::Instant::now().into_std(),
        }
    }

    fn address(index: usize) -> Uri {
        format!("http://localhost:{}", index + 1).parse().unwrap()
    }

    fn poll(&mut self, index: usize) {
        let list = self.servers[index].list();
        self.state
            .polled(&Self::address(index), Observed::from_list(&list), self.now, 0.5);
    }

    fn fail_poll(&mut self, index: usize) {
        let address = Self::address(index);
        let failed = Observed::from_list(&Err(TransportError::Timeout));
        self.state.polled(&address, failed, self.now, 0.5);
        assert_eq!(self.state.plan(&address, self.now), vec![]);
        assert!(self.state.statuses().iter().all(|status| !status.loaded));
    }

    /// Polls a server and carries out the plan. What completes during the poll takes effect after the server has made its
    /// list.
    fn pass(&mut self, index: usize, faults: &[Option<Fault>], complete: bool) {
        let address = Self::address(index);
        let list = self.servers[index].list();
        let is_due = |in_flight: &InFlight| complete && in_flight.index == index;
        let (completed, in_flight) = std::mem::take(&mut self.in_flight).into_iter().partition(is_due);
        self.in_flight = in_flight;
        let completed: Vec<_> = Vec::into_iter(completed)
            .map(|InFlight { action, outcomes, .. }| {
                let server = &mut self.servers[index];
                let outcomes = outcomes.unwrap_or_else(|| server.carry_out(&action, std::iter::empty()));
                (action, outcomes)
            })
            .collect();
        self.state.polled(&address, Observed::from_list(&list), self.now, 0.5);
        for (action, outcomes) in completed {
            self.complete(index, &action, &outcomes);
        }
        let actions = self.state.plan(&address, self.now);
        self.check_plan(index, &actions);
        for action in &actions {
            self.state.action_started(&address, action);
        }
        let mut faults = faults.iter().copied();
        for action in actions {
            let fault = faults.next().flatten();
            if fault == Some(Fault::SlowRequest) {
                let outcomes = None;
                self.in_flight.push(InFlight {
                    index,
                    action,
                    outcomes,
                });
                continue;
            }
            let faults = std::iter::once(fault).chain(faults.by_ref());
            let outcomes = self.servers[index].carry_out(&action, faults);
            if fault == Some(Fault::SlowResponse) {
                let outcomes = Some(outcomes);
                self.in_flight.push(InFlight {
                    index,
                    action,
                    outcomes,
                });
            } else {
                self.complete(index, &action, &outcomes);
            }
        }
        self.state.polled_at(Duration::from_secs(1));
        self.check_sources(index);
    }

    fn complete(&mut self, index: usize, action: &Action, outcomes: &[(Operation, Outcome)]) {
        let address = Self::address(index);
        self.state.action_completed(&address, action, outcomes, self.now, 0.5);
    }

    /// One action per adapter, none for what is in flight, and none for what is to be left alone.
    fn check_plan(&self, index: usize, actions: &[Action]) {
        let mut ids = BTreeSet::new();
        for action in actions {
            let config: &Config = self.state.config().unwrap();
            let id = action.id();
            assert!(ids.insert(Arc::clone(id)), "two actions for {id}: {actions:?}");
            let is_in_flight = |other: &InFlight| other.index == index && other.action.id() == id;
            assert!(
                !self.in_flight.iter().any(is_in_flight),
                "{id} is in flight: {actions:?}"
            );
            assert_ne!(&**id, "tiny");
            assert!(!config.conflicts.contains(id), "{actions:?}");
            assert!(config.desired.iter().any(|spec| spec.id == *id) || config.excluded.contains(id));
        }
    }

    /// After a pass, the server holds what is reported as loaded from the configured source.
    fn check_sources(&self, index: usize) {
        let Some(config) = self.state.config() else { return };
        for spec in &config.desired {
            if self.state.servers[index].desired(spec).reason == Reason::Loaded {
                let source = self.servers[index].adapters.get(&*spec.id);
                assert_eq!(source.map(String::as_str), Some(&*spec.source), "{spec:?}");
            }
        }
    }

    /// No series twice, and statuses without contradictions: 1 means every server.
    fn check_statuses(&self) {
        let mut page = String::new();
        encode(&self.state.families(), Format::Text, &mut page);
        let series = page.lines().filter(|line| !line.starts_with('#'));
        let names: Vec<_> = series.map(|line| line.rsplit_once(' ').unwrap().0).collect();
        let unique: BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len(), "{page}");
        let config = self.state.config();
        for status in self.state.statuses() {
            assert!(status.loaded || status.reason != Reason::Loaded, "{status:?}");
            assert_eq!(status.loaded, status.loaded_on == self.servers.len(), "{status:?}");
            let has_source = status.source.is_some();
            assert_eq!(has_source, status.desired == Some(true), "{status:?}");
            let specs = config.iter().flat_map(|config| &config.desired);
            for spec in specs.filter(|spec| spec.id == status.id) {
                let mut servers = self.state.servers.iter().map(|server| server.desired(spec));
                let all_loaded = servers.all(|status| status.loaded && status.reason == Reason::Loaded);
                assert_eq!(all_loaded, status.reason == Reason::Loaded, "{status:?}");
            }
        }
        assert!(self.servers.iter().all(|server| server.adapters.contains_key(UNLISTED)));
    }

    /// The server restarts, which breaks the connections of what is in flight.
    fn restart(&mut self, index: usize, adapters: &[(usize, usize)], noticed: bool) {
        self.poll(index);
        let adapters: Vec<_> = adapters
            .iter()
            .map(|(id, source)| (IDS[*id], SOURCES[*source]))
            .collect();
        let server = &mut self.servers[index];
        server.restart(&adapters);
        for in_flight in self.in_flight.iter_mut().filter(|other| other.index == index) {
            let request = in_flight.action.next_request(server.kind.api, &[]).unwrap();
            let reset = Err(TransportError::Unreachable("connection reset".to_owned()));
            let outcome = Outcome::of(server.kind.api, request.operation, &reset);
            in_flight.outcomes = Some(vec![(request.operation, outcome)]);
        }
        // Without a root, only a failed poll shows it.
        if noticed || server.kind.roots == Roots::Absent {
            self.fail_poll(index);
        }
    }

    /// Another client changes a server. Without a root, nothing would show it; nor between our load and the next list.
    fn change(&mut self, index: usize, id: usize, source: Option<usize>) {
        let id = IDS[id];
        let is_in_flight = |other: &InFlight| other.index == index && &**other.action.id() == id;
        if self.servers[index].kind.roots == Roots::Absent || self.in_flight.iter().any(is_in_flight) {
            return;
        }
        self.poll(index);
        let adapters = &mut self.servers[index].adapters;
        match source {
            Some(source) => adapters.insert(id.to_owned(), SOURCES[source].to_owned()),
            None => adapters.remove(id),
        };
    }

    fn handle(&mut self, index: usize, event: Event) {
        match event {
            Event::Config { exist, not_exist } => {
                let text = yaml(self.servers.len(), &exist, &not_exist);
                self.state
                    .config_accepted(config::parse(text.as_bytes()).unwrap().config);
            }
            Event::InvalidConfig => self.state.config_rejected(),
            Event::Restart { adapters, noticed } => self.restart(index, &adapters, noticed),
            Event::FailedPoll => self.fail_poll(index),
            Event::Load(id, source) => self.change(index, id, Some(source)),
            Event::Unload(id) => self.change(index, id, None),
            Event::Pass { faults, complete } => self.pass(index, &faults, complete),
        }
    }

    /// Without faults: passes to complete what is in flight, to learn that a server cannot reload, to replace instead, and to
    /// restore what could not be replaced.
    fn converge(&mut self) {
        for _ in 0..5 {
            self.now += LONG;
            for index in 0..self.servers.len() {
                self.pass(index, &[], true);
            }
        }
        for index in 0..self.servers.len() {
            self.poll(index);
        }
        self.now += LONG;
    }

    /// Each server is as configured. An adapter whose configured source is wrong is loaded from the last known one.
    fn check_converged(&self, config: &Config) {
        let is_typo = |id: &str| {
            let mut desired = config.desired.iter();
            desired.any(|spec| &*spec.id == id && &*spec.source == TYPO)
        };
        for (index, server) in self.servers.iter().enumerate() {
            let plan = self.state.plan(&Self::address(index), self.now);
            let left: Vec<_> = plan.iter().filter(|action| !is_typo(action.id())).collect();
            assert!(left.is_empty(), "{left:?}");
            for spec in config.desired.iter().filter(|spec| &*spec.id != "tiny") {
                let source = server.adapters.get(&*spec.id).map(String::as_str);
                if !is_typo(&spec.id) {
                    assert_eq!(source, Some(&*spec.source), "{spec:?}");
                } else if self.state.servers[index].history.previous(spec).is_some() {
                    assert!(source.is_some(), "{spec:?} has been taken out of service");
                }
            }
            for id in &config.excluded {
                assert!(!server.adapters.contains_key(&**id), "{id}");
            }
        }
        let is_wrong = |status: &AdapterStatus| {
            let of_base_model = &*status.id == "tiny" && status.desired.is_some();
            of_base_model || is_typo(&status.id)
        };
        let settled = !self.state.statuses().iter().any(is_wrong);
        assert_eq!(self.state.ready(), if settled { Ok(()) } else { self.state.ready() });
        assert_eq!(self.state.ready().is_ok(), settled);
    }
}

proptest! {
    #[test]
    fn state_reports_what_the_servers_hold_and_converges(
        kinds in prop::collection::vec(kind(), 1..4),
        events in prop::collection::vec((any::<prop::sample::Index>(), event()), 0..40),
    ) {
        let mut run = Run::new(&kinds);
        for (index, event) in events {
            run.now += Duration::from_secs(5);
            run.handle(index.index(kinds.len()), event);
            run.check_statuses();
        }
        run.converge();
        run.check_statuses();
        if let Some(config) = run.state.config() {
            run.check_converged(config);
        }
    }
}
