//! What scenarios are told in.

use std::time::{Duration, Instant};

use crate::exposition::{Format, encode};
use crate::lora::config;
use crate::lora::observed::Observed;
use crate::lora::request::Call;
use crate::lora::response::Answer;
use crate::lora::state::LoraState;

/// 2026-01-01, in seconds since 1970.
const START: u64 = 1_767_225_600;

/// A board, and the time, in seconds since the start.
pub struct Scenario {
    pub board: LoraState,
    start: Instant,
    now: u64,
    /// Planned, and not yet answered.
    calls: Vec<Call>,
}

impl Scenario {
    pub fn new() -> Self {
        Self {
            board: LoraState::default(),
            start: tokio::time::Instant::now().into_std(),
            now: 0,
            calls: Vec::new(),
        }
    }

    pub fn now(&self) -> Instant {
        self.start + Duration::from_secs(self.now)
    }

    pub fn at(&mut self, now: u64) -> &mut Self {
        assert!(now >= self.now, "time goes on");
        self.now = now;
        self
    }

    /// A file is read. `+a=/s` wants an adapter from a source, `-a` wants one gone; one a word.
    pub fn file(&mut self, words: &str) -> &mut Self {
        let list = |sign| -> Vec<_> {
            let entries = words.split_whitespace().filter_map(|word| word.strip_prefix(sign));
            let entry = |entry: &str| match entry.split_once('=') {
                Some((id, source)) => format!("{{id: {id}, source: {source}}}"),
                None => format!("{{id: {entry}}}"),
            };
            entries.map(entry).collect()
        };
        let (exist, not_exist) = (list('+').join(", "), list('-').join(", "));
        self.yaml(&format!(
            "vLLMLoRAConfig: {{ensureExist: {{models: [{exist}]}}, ensureNotExist: {{models: [{not_exist}]}}}}"
        ))
    }

    pub fn yaml(&mut self, text: &str) -> &mut Self {
        match config::parse(text.as_bytes()) {
            Ok(parsed) => self.board.configured(parsed.config),
            Err(_) => self.board.misconfigured(),
        }
        self
    }

    /// A pass begins: the server holds `tiny` and these, each perhaps with its source (`a=/s`).
    pub fn holds(&mut self, words: &str) -> &mut Self {
        let adapters = words.split_whitespace().map(|word| match word.split_once('=') {
            Some((id, root)) => format!(r#",{{"id":"{id}","parent":"tiny","root":"{root}"}}"#),
            None => format!(r#",{{"id":"{word}","parent":"tiny"}}"#),
        });
        let adapters: String = adapters.collect();
        self.lists(status(
            200,
            &format!(r#"{{"data":[{{"id":"tiny","parent":null}}{adapters}]}}"#),
        ))
    }

    /// A pass begins, and its list is this.
    pub fn lists(&mut self, answer: Answer) -> &mut Self {
        self.board.observed(Observed::read(&answer), self.now(), 0.0);
        self
    }

    /// These are the calls to be made.
    #[track_caller]
    pub fn plans(&mut self, expected: &[&str]) -> &mut Self {
        self.calls = self.board.plan(self.now());
        let calls: Vec<_> = self.calls.iter().map(ToString::to_string).collect();
        assert_eq!(calls, expected, "at {} s", self.now);
        for call in &self.calls {
            self.board.started(call);
        }
        self
    }

    /// The call for this adapter is made, and its requests are answered so, one after the other.
    #[track_caller]
    pub fn answers(&mut self, id: &str, answers: &[Answer]) -> &mut Self {
        let call = self.calls.iter().find(|call| **call.id() == *id).unwrap().clone();
        let requests = call.requests();
        assert!(answers.len() <= requests.len());
        for (request, answer) in requests.iter().zip(answers) {
            let outcome = answer.outcome(request.operation);
            self.board.answered(&call, request.operation, &outcome, self.now(), 0.0);
        }
        self
    }

    /// The pass that has just begun did so now, by the clock on the wall.
    pub fn by_the_clock(&mut self) -> &mut Self {
        self.board.observed_at(Duration::from_secs(START + self.now));
        self
    }

    pub fn page(&self) -> String {
        let mut page = String::new();
        encode(&self.board.families(), Format::Text, &mut page);
        page
    }

    /// The page without comments must be this; the common part of the names is left out.
    #[track_caller]
    pub fn shows(&mut self, expected: &str) -> &mut Self {
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

    /// How an adapter stands, by the page: its value and the reason.
    #[track_caller]
    pub fn stands(&mut self, id: &str, value: u8, reason: &str) -> &mut Self {
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
        assert_eq!(self.board.ready(), expected.map_err(str::to_owned), "at {} s", self.now);
        self
    }
}

pub fn status(status: u16, body: &str) -> Answer {
    Answer::Status {
        status,
        body: body.as_bytes().to_vec(),
    }
}

pub fn ok() -> Answer {
    status(200, "Success")
}

pub fn error(code: u16, message: &str) -> Answer {
    status(code, &format!(r#"{{"error":{{"message":"{message}"}}}}"#))
}

pub fn refused() -> Answer {
    Answer::Unreachable {
        why: "connection refused".to_owned(),
    }
}
