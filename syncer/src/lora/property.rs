//! For any sequence of events and faults, the state leaves alone what is not configured, reports nothing as loaded that is
//! not, and converges to the configuration.

mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use server::{Fault, Server};

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
const SOURCES: [&str; 2] = ["/1", "/2"];
/// An adapter that no configuration lists.
const UNLISTED: &str = "unlisted";

/// An action that completes in a later pass.
struct InFlight {
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
    Restart,
    FailedPoll,
    /// A poll, and the actions that are planned after it.
    Pass {
        /// Of the requests, in order.
        faults: Vec<Option<Fault>>,
        /// Whether the actions in flight complete during the poll.
        complete: bool,
    },
}

fn yaml(exist: &[(usize, usize)], not_exist: &[usize]) -> String {
    let exist: BTreeMap<_, _> = exist.iter().copied().collect();
    let exist: Vec<_> = exist
        .iter()
        .map(|(id, source)| format!("{{id: {}, source: {}}}", IDS[*id], SOURCES[*source]))
        .collect();
    let not_exist: Vec<_> = not_exist.iter().map(|id| format!("{{id: {}}}", IDS[*id])).collect();
    let (exist, not_exist) = (exist.join(", "), not_exist.join(", "));
    format!("vLLMLoRAConfig: {{ensureExist: {{models: [{exist}]}}, ensureNotExist: {{models: [{not_exist}]}}}}")
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
    prop_oneof![
        3 => (exist, not_exist).prop_map(|(exist, not_exist)| Event::Config { exist, not_exist }),
        1 => Just(Event::InvalidConfig),
        1 => Just(Event::Restart),
        1 => Just(Event::FailedPoll),
        6 => (prop::collection::vec(fault, 0..8), any::<bool>())
            .prop_map(|(faults, complete)| Event::Pass { faults, complete }),
    ]
}

/// A state, its server, and what is in flight between them.
struct Run {
    state: LoraState,
    server: Server,
    in_flight: Vec<InFlight>,
    now: Instant,
}

// === impl Run ===

impl Run {
    /// Polls and carries out the plan. What completes during the poll takes effect after the server has made its list.
    fn pass(&mut self, faults: &[Option<Fault>], complete: bool) {
        let list = self.server.list();
        let completed = match complete {
            true => std::mem::take(&mut self.in_flight),
            false => Vec::new(),
        };
        let completed: Vec<_> = completed
            .into_iter()
            .map(|InFlight { action, outcomes }| {
                let outcomes = outcomes.unwrap_or_else(|| self.server.carry_out(&action, std::iter::empty()));
                (action, outcomes)
            })
            .collect();
        self.state.polled(Observed::from_list(&list), self.now, 0.5);
        for (action, outcomes) in completed {
            self.complete(&action, &outcomes);
        }
        let actions = self.state.plan(self.now);
        self.check_plan(&actions);
        for action in &actions {
            self.state.action_started(action);
        }
        let mut faults = faults.iter().copied();
        for action in actions {
            let fault = faults.next().flatten();
            if fault == Some(Fault::SlowRequest) {
                let outcomes = None;
                self.in_flight.push(InFlight { action, outcomes });
                continue;
            }
            let outcomes = self
                .server
                .carry_out(&action, std::iter::once(fault).chain(faults.by_ref()));
            if fault == Some(Fault::SlowResponse) {
                let outcomes = Some(outcomes);
                self.in_flight.push(InFlight { action, outcomes });
            } else {
                self.complete(&action, &outcomes);
            }
        }
        self.state.polled_at(Duration::from_secs(1));
    }

    fn complete(&mut self, action: &Action, outcomes: &[(Operation, Outcome)]) {
        for (operation, outcome) in outcomes {
            self.state.request_completed(action, *operation, outcome, self.now, 0.5);
        }
    }

    /// One action per adapter, none for what is in flight, and none for what is to be left alone.
    fn check_plan(&self, actions: &[Action]) {
        let mut ids = BTreeSet::new();
        for action in actions {
            let config: &Config = self.state.config().unwrap();
            let id = action.id();
            assert!(ids.insert(Arc::clone(id)), "two actions for {id}: {actions:?}");
            assert!(
                self.in_flight.iter().all(|other| other.action.id() != id),
                "{id} is in flight: {actions:?}"
            );
            assert_ne!(&**id, "tiny");
            assert!(!config.conflicts.contains(id), "{actions:?}");
            assert!(config.desired.iter().any(|spec| spec.id == *id) || config.excluded.contains(id));
        }
    }

    /// No series twice, and statuses without contradictions.
    fn check_statuses(&self) {
        let mut page = String::new();
        encode(&self.state.families(), Format::Text, &mut page);
        let series = page.lines().filter(|line| !line.starts_with('#'));
        let names: Vec<_> = series.map(|line| line.rsplit_once(' ').unwrap().0).collect();
        let unique: BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len(), "{page}");
        for status in self.state.statuses() {
            assert!(status.loaded || status.reason != Reason::Loaded, "{status:?}");
            let has_source = status.source.is_some();
            assert_eq!(has_source, status.desired == Some(true), "{status:?}");
        }
    }

    /// The server has restarted, which broke the connections of what was in flight.
    fn restart(&mut self) {
        self.server.restart();
        for InFlight { action, outcomes } in &mut self.in_flight {
            let operation = action.requests()[0].operation;
            let reset = Err(TransportError::Unreachable("connection reset".to_owned()));
            *outcomes = Some(vec![(operation, Outcome::of(operation, &reset))]);
        }
    }
}

proptest! {
    #[test]
    fn state_leaves_alone_what_is_not_configured_and_converges(
        events in prop::collection::vec(event(), 0..30),
        can_reload: bool,
        reports_root: bool,
    ) {
        let mut run = Run {
            state: LoraState::default(),
            server: Server::new(can_reload, reports_root),
            in_flight: Vec::new(),
            now: tokio::time::Instant::now().into_std(),
        };
        for event in events {
            run.now += Duration::from_secs(5);
            match event {
                Event::Config { exist, not_exist } => {
                    let text = yaml(&exist, &not_exist);
                    run.state.config_accepted(config::parse(text.as_bytes()).unwrap().config);
                }
                Event::InvalidConfig => run.state.config_rejected(),
                Event::Restart => run.restart(),
                Event::FailedPoll => {
                    run.state.polled(Observed::from_list(&Err(TransportError::Timeout)), run.now, 0.5);
                    prop_assert_eq!(run.state.plan(run.now), vec![]);
                    prop_assert!(run.state.statuses().iter().all(|status| !status.loaded));
                }
                Event::Pass { faults, complete } => {
                    run.pass(&faults, complete);
                    for status in run.state.statuses().iter().filter(|status| status.loaded) {
                        // An unload whose response was lost may have taken effect.
                        let certain = status.desired == Some(true) && status.reason == Reason::Loaded;
                        prop_assert!(!certain || run.server.adapters.contains_key(&*status.id), "{:?}", status);
                    }
                }
            }
            run.check_statuses();
            prop_assert!(run.server.adapters.contains_key(UNLISTED));
        }

        // Without faults: one pass to complete what is in flight, one to learn that the server cannot reload, one to
        // replace instead.
        for _ in 0..3 {
            run.now += Duration::from_secs(600);
            run.pass(&[], true);
        }
        let list = run.server.list();
        run.state.polled(Observed::from_list(&list), run.now, 0.5);
        run.now += Duration::from_secs(600);
        prop_assert_eq!(run.state.plan(run.now), vec![]);
        let Some(config) = run.state.config() else { return Ok(()) };
        for spec in config.desired.iter().filter(|spec| &*spec.id != "tiny") {
            let source = run.server.adapters.get(&*spec.id);
            prop_assert_eq!(source.map(String::as_str), Some(&*spec.source), "{:?}", spec);
        }
        for id in &config.excluded {
            prop_assert!(!run.server.adapters.contains_key(&**id), "{}", id);
        }
        let of_base_model = |status: &AdapterStatus| &*status.id == "tiny" && status.desired.is_some();
        let settled = !run.state.statuses().iter().any(of_base_model);
        prop_assert_eq!(run.state.ready().is_ok(), settled);
    }
}
