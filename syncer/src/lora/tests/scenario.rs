//! A [`LoraState`] driven step by step, and helpers for the replies of a server. Steps concern the first server of the
//! configuration unless [`Scenario::on`] selects another one.

use std::time::{Duration, Instant};

use http::Uri;

use crate::exposition::{Format, encode};
use crate::lora::action::Action;
use crate::lora::api::LoraApi;
use crate::lora::config;
use crate::lora::observed::Observed;
use crate::lora::response::{Outcome, Reply, Response, TransportError};
use crate::lora::state::LoraState;

/// 2026-01-01, since the Unix epoch.
const START: u64 = 1_767_225_600;

pub struct Scenario {
    pub state: LoraState,
    start: Instant,
    /// In seconds since the start.
    now: u64,
    /// The index of the server that steps concern.
    server: usize,
    /// The last plan of each server.
    actions: Vec<(Uri, Action)>,
    /// `owned_by` in lists.
    owner: &'static str,
}

impl Scenario {
    pub fn new() -> Self {
        Self {
            state: LoraState::default(),
            start: tokio::time::Instant::now().into_std(),
            now: 0,
            server: 0,
            actions: Vec::new(),
            owner: "vllm",
        }
    }

    /// Its servers are SGLang's.
    pub fn sglang() -> Self {
        Self {
            owner: "sglang",
            ..Self::new()
        }
    }

    /// Selects the server with this index.
    pub fn on(&mut self, server: usize) -> &mut Self {
        self.server = server;
        self
    }

    /// The selected server; the default one before the first configuration.
    pub fn server(&self) -> Uri {
        let servers = self.state.config().map(|config| config.servers.clone());
        servers.map_or_else(
            || Uri::from_static("http://localhost:8000"),
            |servers| servers[self.server].clone(),
        )
    }

    pub fn plan(&self) -> Vec<Action> {
        self.state.plan(&self.server(), self.now())
    }

    pub fn api(&self) -> LoraApi {
        self.state.api(&self.server())
    }

    pub fn now(&self) -> Instant {
        self.start + Duration::from_secs(self.now)
    }

    pub fn at(&mut self, now: u64) -> &mut Self {
        assert!(now >= self.now, "time does not run backwards");
        self.now = now;
        self
    }

    /// Reads a configuration. `+a=/s` puts an adapter and its source into `ensureExist`, `-a` one into `ensureNotExist`;
    /// `ports=1,2` are those of the servers.
    pub fn config(&mut self, adapters: &str) -> &mut Self {
        let list = |sign| -> Vec<_> {
            let adapters = adapters.split_whitespace().filter_map(|word| word.strip_prefix(sign));
            let model = |adapter: &str| match adapter.split_once('=') {
                Some((id, source)) => format!("{{id: {id}, source: {source}}}"),
                None => format!("{{id: {adapter}}}"),
            };
            adapters.map(model).collect()
        };
        let (exist, not_exist) = (list('+').join(", "), list('-').join(", "));
        let ports = adapters.split_whitespace().find_map(|word| word.strip_prefix("ports="));
        let ports = ports.map(|ports| format!("ports: [{ports}], ")).unwrap_or_default();
        self.yaml(&format!(
            "vLLMLoRAConfig: {{{ports}ensureExist: {{models: [{exist}]}}, ensureNotExist: {{models: [{not_exist}]}}}}"
        ))
    }

    pub fn yaml(&mut self, text: &str) -> &mut Self {
        match config::parse(text.as_bytes()) {
            Ok(parsed) => self.state.config_accepted(parsed.config),
            Err(_) => self.state.config_rejected(),
        }
        self
    }

    /// Polls a server that lists `tiny` and these adapters, each with its source if given (`a=/s`).
    pub fn lists(&mut self, adapters: &str) -> &mut Self {
        let models = adapters.split_whitespace().map(|word| match word.split_once('=') {
            Some((id, root)) => format!(r#",{{"id":"{id}","parent":"tiny","root":"{root}"}}"#),
            None => format!(r#",{{"id":"{word}","parent":"tiny"}}"#),
        });
        let models: String = models.collect();
        self.list_reply(reply(
            200,
            &format!(
                r#"{{"data":[{{"id":"tiny","parent":null,"owned_by":"{}"}}{models}]}}"#,
                self.owner
            ),
        ))
    }

    /// Polls a server whose reply to the list request is this.
    pub fn list_reply(&mut self, reply: Reply) -> &mut Self {
        let server = self.server();
        self.state.polled(&server, Observed::from_list(&reply), self.now(), 0.0);
        self
    }

    /// Expects this plan, and starts its actions.
    #[track_caller]
    pub fn plans(&mut self, expected: &[&str]) -> &mut Self {
        let server = self.server();
        let plan = self.plan();
        let actions: Vec<_> = plan.iter().map(ToString::to_string).collect();
        assert_eq!(actions, expected, "at {} s", self.now);
        for action in plan {
            self.state.action_started(&server, &action);
            self.actions
                .retain(|(other, old)| *other != server || old.id() != action.id());
            self.actions.push((server.clone(), action));
        }
        self
    }

    /// Completes this adapter's action, whose requests have these replies.
    #[track_caller]
    pub fn replies(&mut self, id: &str, replies: &[Reply]) -> &mut Self {
        let (server, api) = (self.server(), self.api());
        let actions = self.actions.iter();
        let mut of_id = actions.filter(|(other, action)| *other == server && **action.id() == *id);
        let action = of_id.next().unwrap().1.clone();
        let mut outcomes = Vec::new();
        for reply in replies {
            let request = action.next_request(api, &outcomes).unwrap();
            outcomes.push((request.operation, Outcome::of(api, request.operation, reply)));
        }
        assert_eq!(action.next_request(api, &outcomes), None, "the action is not complete");
        self.state
            .action_completed(&server, &action, &outcomes, self.now(), 0.0);
        self
    }

    /// Sets the wall-clock time of the last poll to now.
    pub fn at_wall_clock(&mut self) -> &mut Self {
        self.state.polled_at(Duration::from_secs(START + self.now));
        self
    }

    pub fn page(&self) -> String {
        let mut page = String::new();
        encode(&self.state.families(), Format::Text, &mut page);
        page
    }

    /// Expects exactly these series, without the prefix `lora_syncer_`.
    #[track_caller]
    pub fn has_series(&mut self, expected: &str) -> &mut Self {
        let page = self.page();
        let lines: Vec<_> = page
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.strip_prefix("lora_syncer_").unwrap())
            .collect();
        let expected: Vec<_> = expected
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        assert_eq!(lines, expected, "at {} s", self.now);
        self
    }

    /// Expects this status and reason of an adapter on the page.
    #[track_caller]
    pub fn has_status(&mut self, id: &str, value: u8, reason: &str) -> &mut Self {
        let page = self.page();
        let status = format!(r#"lora_syncer_adapter_status{{adapter_name="{id}"}} {value}"#);
        let info = format!(r#"lora_syncer_adapter_info{{adapter_name="{id}",reason="{reason}","#);
        assert!(
            page.lines().any(|line| line == status),
            "at {} s no {status}\n{page}",
            self.now
        );
        assert!(
            page.lines().any(|line| line.starts_with(&info)),
            "at {} s no {info}\n{page}",
            self.now
        );
        self
    }

    #[track_caller]
    pub fn is_ready(&mut self, expected: Result<(), &str>) -> &mut Self {
        assert_eq!(self.state.ready(), expected.map_err(str::to_owned), "at {} s", self.now);
        self
    }
}

pub fn reply(status: u16, body: &str) -> Reply {
    Ok(Response {
        status,
        body: body.as_bytes().to_vec(),
    })
}

pub fn ok() -> Reply {
    reply(200, "Success")
}

/// An error in the form of vLLM.
pub fn error(status: u16, message: &str) -> Reply {
    reply(status, &format!(r#"{{"error":{{"message":"{message}"}}}}"#))
}

pub fn timeout() -> Reply {
    Err(TransportError::Timeout)
}

pub fn refused() -> Reply {
    Err(TransportError::Unreachable("connection refused".to_owned()))
}
