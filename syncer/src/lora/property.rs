//! Whatever happens, the board keeps off what is not its own, tells the truth, and comes to what is configured.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::Reason;
use super::config::{self, Config};
use super::observed::Observed;
use super::request::{Call, Operation, Request};
use super::response::{Answer, Outcome};
use super::state::LoraState;
use super::status::Status;
use crate::exposition::{Format, encode};

/// Names for the lists; the last is the base model's.
const NAMES: [&str; 4] = ["a", "b", "c", "tiny"];
const SOURCES: [&str; 2] = ["/1", "/2"];
const STRANGER: &str = "stranger";

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Error,
    /// The answer is lost, not the deed.
    Late,
    Lost,
    /// The call goes on while others are made: it is done, or not yet, and answered in a later pass.
    Done,
    Open,
}

/// A call under way, and what came of it, if it is done.
struct UnderWay {
    call: Call,
    outcomes: Option<Vec<(Operation, Outcome)>>,
}

#[derive(Clone, Debug)]
enum Event {
    File {
        wanted: Vec<(usize, usize)>,
        unwanted: Vec<usize>,
    },
    BadFile,
    Restart,
    /// A pass that can't get the list.
    Blind,
    /// A pass whose requests meet these, in turn; calls under way may be answered while it looks.
    Pass {
        faults: Vec<Option<Fault>>,
        answered: bool,
    },
}

/// A server as vLLM is: adapters and where they come from.
struct Server {
    adapters: BTreeMap<String, String>,
    can_reload: bool,
    tells_source: bool,
}

// === impl Server ===

impl Server {
    fn list(&self) -> Answer {
        let model = |(id, source): (&String, &String)| {
            let root = self.tells_source.then_some(source);
            serde_json::json!({"id": id, "parent": "tiny", "root": root})
        };
        let adapters = self.adapters.iter().map(model);
        let data: Vec<_> = std::iter::once(serde_json::json!({"id": "tiny"}))
            .chain(adapters)
            .collect();
        answer(200, serde_json::json!({ "data": data }))
    }

    fn answer(&mut self, request: &Request, fault: Option<Fault>) -> Answer {
        match fault {
            Some(Fault::Error) => answer(500, serde_json::json!("no")),
            Some(Fault::Lost) => Answer::Timeout,
            Some(Fault::Late) => {
                self.do_it(request);
                Answer::Timeout
            }
            None | Some(Fault::Done | Fault::Open) => self.do_it(request),
        }
    }

    /// All of a call's requests, as long as they succeed.
    fn carry_out(&mut self, call: &Call, mut faults: impl Iterator<Item = Option<Fault>>) -> Vec<(Operation, Outcome)> {
        let mut outcomes = Vec::new();
        for request in call.requests() {
            let outcome = self
                .answer(&request, faults.next().flatten())
                .outcome(request.operation);
            let goes_on = outcome == Outcome::Done;
            outcomes.push((request.operation, outcome));
            if !goes_on {
                break;
            }
        }
        outcomes
    }

    fn do_it(&mut self, request: &Request) -> Answer {
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        let name = body["lora_name"].as_str().unwrap().to_owned();
        let error = |code, message: &str| answer(code, serde_json::json!({"error": {"message": message}}));
        if request.path == "/v1/unload_lora_adapter" {
            return match self.adapters.remove(&name) {
                Some(_) => answer(200, serde_json::json!("ok")),
                None => error(404, "The lora adapter cannot be found."),
            };
        }
        let in_place = self.can_reload && body["load_inplace"] == true;
        if self.adapters.contains_key(&name) && !in_place {
            return error(400, "The lora adapter has already been loaded.");
        }
        self.adapters
            .insert(name, body["lora_path"].as_str().unwrap().to_owned());
        answer(200, serde_json::json!("ok"))
    }
}

fn answer(status: u16, body: serde_json::Value) -> Answer {
    Answer::Status {
        status,
        body: body.to_string().into_bytes(),
    }
}

fn file(wanted: &[(usize, usize)], unwanted: &[usize]) -> String {
    let wanted: BTreeMap<_, _> = wanted.iter().copied().collect();
    let exist: Vec<_> = wanted
        .iter()
        .map(|(name, source)| format!("{{id: {}, source: {}}}", NAMES[*name], SOURCES[*source]))
        .collect();
    let not_exist: Vec<_> = unwanted
        .iter()
        .map(|name| format!("{{id: {}}}", NAMES[*name]))
        .collect();
    let (exist, not_exist) = (exist.join(", "), not_exist.join(", "));
    format!("vLLMLoRAConfig: {{ensureExist: {{models: [{exist}]}}, ensureNotExist: {{models: [{not_exist}]}}}}")
}

fn event() -> impl Strategy<Value = Event> {
    let fault = prop_oneof![
        4 => Just(None),
        1 => Just(Some(Fault::Error)),
        1 => Just(Some(Fault::Late)),
        1 => Just(Some(Fault::Lost)),
        1 => Just(Some(Fault::Done)),
        1 => Just(Some(Fault::Open)),
    ];
    let names = 0..NAMES.len();
    let wanted = prop::collection::vec((names.clone(), 0..SOURCES.len()), 0..4);
    prop_oneof![
        3 => (wanted, prop::collection::vec(names, 0..3)).prop_map(|(wanted, unwanted)| Event::File { wanted, unwanted }),
        1 => Just(Event::BadFile),
        1 => Just(Event::Restart),
        1 => Just(Event::Blind),
        6 => (prop::collection::vec(fault, 0..8), any::<bool>()).prop_map(|(faults, answered)| Event::Pass { faults, answered }),
    ]
}

/// A whole pass. No call may be of what is not the board's own, or under way. What is answered while the server is being
/// asked is done after it made its list.
fn pass(
    board: &mut LoraState,
    server: &mut Server,
    under_way: &mut Vec<UnderWay>,
    now: Instant,
    event: (&[Option<Fault>], bool),
) {
    let (faults, answered) = event;
    let list = server.list();
    let answered: Vec<_> = match answered {
        true => std::mem::take(under_way),
        false => Vec::new(),
    };
    let answered: Vec<_> = answered
        .into_iter()
        .map(|UnderWay { call, outcomes }| {
            let outcomes = outcomes.unwrap_or_else(|| server.carry_out(&call, std::iter::empty()));
            (call, outcomes)
        })
        .collect();
    board.observed(Observed::read(&list), now, 0.5);
    for (call, outcomes) in answered {
        tell(board, &call, &outcomes, now);
    }
    let mut faults = faults.iter().copied();
    let calls = board.plan(now);
    let config = board.config().cloned();
    let mut called = BTreeSet::new();
    for call in &calls {
        let config: &Config = config.as_ref().unwrap();
        let id = call.id();
        assert!(called.insert(Arc::clone(id)), "two calls for {id}: {calls:?}");
        assert!(
            under_way.iter().all(|other| other.call.id() != id),
            "{id} is under way: {calls:?}"
        );
        assert_ne!(&**id, "tiny");
        assert!(!config.conflicts.contains(id), "{calls:?}");
        assert!(config.wanted.iter().any(|adapter| adapter.id == *id) || config.unwanted.contains(id));
        board.started(call);
    }
    for call in calls {
        let fault = faults.next().flatten();
        let mut carry_out = || server.carry_out(&call, std::iter::once(fault).chain(faults.by_ref()));
        match fault {
            Some(Fault::Open) => under_way.push(UnderWay { call, outcomes: None }),
            Some(Fault::Done) => {
                let outcomes = Some(carry_out());
                under_way.push(UnderWay { call, outcomes });
            }
            _ => {
                let outcomes = carry_out();
                tell(board, &call, &outcomes, now);
            }
        }
    }
    board.observed_at(Duration::from_secs(1));
}

fn tell(board: &mut LoraState, call: &Call, outcomes: &[(Operation, Outcome)], now: Instant) {
    for (operation, outcome) in outcomes {
        board.answered(call, *operation, outcome, now, 0.5);
    }
}

/// No series is given twice, and 1 is said of what the server held in the list or has loaded since.
fn holds_together(board: &LoraState) {
    let mut page = String::new();
    encode(&board.families(), Format::Text, &mut page);
    let series = page.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<_> = series.map(|line| line.rsplit_once(' ').unwrap().0).collect();
    let different: BTreeSet<_> = names.iter().collect();
    assert_eq!(different.len(), names.len(), "{page}");
    for status in board.statuses() {
        assert!(status.loaded || status.reason != Reason::Loaded, "{status:?}");
        let source = status.source.is_some();
        assert_eq!(source, status.wanted == Some(true), "{status:?}");
    }
}

proptest! {
    #[test]
    fn it_keeps_off_what_is_not_its_own_and_comes_to_what_is_configured(
        events in prop::collection::vec(event(), 0..30),
        can_reload: bool,
        tells_source: bool,
    ) {
        let mut board = LoraState::default();
        let stranger = (STRANGER.to_owned(), "/s".to_owned());
        let mut server = Server {
            adapters: BTreeMap::from([stranger.clone()]),
            can_reload,
            tells_source,
        };
        let mut under_way = Vec::new();
        let mut now = tokio::time::Instant::now().into_std();
        for event in events {
            now += Duration::from_secs(5);
            match event {
                Event::File { wanted, unwanted } => {
                    let text = file(&wanted, &unwanted);
                    board.configured(config::parse(text.as_bytes()).unwrap().config);
                }
                Event::BadFile => board.misconfigured(),
                Event::Restart => {
                    server.adapters = BTreeMap::from([stranger.clone()]);
                    // The connections are gone with it.
                    for UnderWay { call, outcomes } in &mut under_way {
                        let first = call.requests()[0].operation;
                        let broken = Answer::Unreachable { why: "broken".to_owned() };
                        *outcomes = Some(vec![(first, broken.outcome(first))]);
                    }
                }
                Event::Blind => {
                    board.observed(Observed::read(&Answer::Timeout), now, 0.5);
                    prop_assert_eq!(board.plan(now), vec![]);
                    prop_assert!(board.statuses().iter().all(|status| !status.loaded));
                }
                Event::Pass { faults, answered } => {
                    pass(&mut board, &mut server, &mut under_way, now, (&faults, answered));
                    for status in board.statuses().iter().filter(|status| status.loaded) {
                        // A late unload may have been done without our knowing.
                        let known = status.wanted == Some(true) && status.reason == Reason::Loaded;
                        prop_assert!(!known || server.adapters.contains_key(&*status.id), "{:?}", status);
                    }
                }
            }
            holds_together(&board);
            prop_assert!(server.adapters.contains_key(STRANGER));
        }

        // All goes well for a while: a pass to hear of what is under way, one to learn that the server can't reload, one to
        // do it otherwise.
        for _ in 0..3 {
            now += Duration::from_secs(600);
            pass(&mut board, &mut server, &mut under_way, now, (&[], true));
        }
        board.observed(Observed::read(&server.list()), now, 0.5);
        now += Duration::from_secs(600);
        prop_assert_eq!(board.plan(now), vec![]);
        let Some(config) = board.config() else { return Ok(()) };
        for adapter in config.wanted.iter().filter(|adapter| &*adapter.id != "tiny") {
            let source = server.adapters.get(&*adapter.id);
            prop_assert_eq!(source.map(String::as_str), Some(&*adapter.source), "{:?}", adapter);
        }
        for id in &config.unwanted {
            prop_assert!(!server.adapters.contains_key(&**id), "{}", id);
        }
        let of_base = |status: &Status| &*status.id == "tiny" && status.wanted.is_some();
        prop_assert_eq!(board.ready().is_ok(), !board.statuses().iter().any(of_base));
    }
}
