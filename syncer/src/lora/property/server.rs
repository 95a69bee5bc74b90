//! A fake model server that behaves as vLLM does.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::UNLISTED;
use crate::lora::action::Action;
use crate::lora::request::{Operation, Request};
use crate::lora::response::{Outcome, Reply, Response, TransportError};

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is replied to with 500.
    Error,
    /// It takes effect, and its response does not arrive.
    ResponseLost,
    /// It does not arrive.
    RequestLost,
    /// It takes effect now, and its response arrives in a later pass.
    SlowResponse,
    /// It takes effect in a later pass.
    SlowRequest,
}

pub struct Server {
    /// Sources by id.
    pub adapters: BTreeMap<String, String>,
    can_reload: bool,
    /// Whether its list has `root`.
    reports_root: bool,
}

// === impl Server ===

impl Server {
    pub fn new(can_reload: bool, reports_root: bool) -> Self {
        let mut server = Self {
            adapters: BTreeMap::new(),
            can_reload,
            reports_root,
        };
        server.restart();
        server
    }

    pub fn restart(&mut self) {
        self.adapters = BTreeMap::from([(UNLISTED.to_owned(), "/unlisted".to_owned())]);
    }

    pub fn list(&self) -> Reply {
        let model = |(id, source): (&String, &String)| {
            let root = self.reports_root.then_some(source);
            json!({"id": id, "parent": "tiny", "root": root})
        };
        let adapters = self.adapters.iter().map(model);
        let data: Vec<_> = std::iter::once(json!({"id": "tiny"})).chain(adapters).collect();
        reply(200, json!({ "data": data }))
    }

    /// The outcomes of an action's requests, up to the first that fails.
    pub fn carry_out(
        &mut self,
        action: &Action,
        mut faults: impl Iterator<Item = Option<Fault>>,
    ) -> Vec<(Operation, Outcome)> {
        let mut outcomes = Vec::new();
        for request in action.requests() {
            let reply = self.handle(&request, faults.next().flatten());
            let outcome = Outcome::of(request.operation, &reply);
            let succeeded = outcome == Outcome::Succeeded;
            outcomes.push((request.operation, outcome));
            if !succeeded {
                break;
            }
        }
        outcomes
    }

    fn handle(&mut self, request: &Request, fault: Option<Fault>) -> Reply {
        match fault {
            Some(Fault::Error) => reply(500, json!("no")),
            Some(Fault::RequestLost) => Err(TransportError::Timeout),
            Some(Fault::ResponseLost) => {
                _ = self.apply(request);
                Err(TransportError::Timeout)
            }
            None | Some(Fault::SlowResponse | Fault::SlowRequest) => self.apply(request),
        }
    }

    fn apply(&mut self, request: &Request) -> Reply {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let name = body["lora_name"].as_str().unwrap().to_owned();
        let error = |status, message: &str| reply(status, json!({"error": {"message": message}}));
        if request.path == "/v1/unload_lora_adapter" {
            return match self.adapters.remove(&name) {
                Some(_) => reply(200, json!("ok")),
                None => error(404, "The lora adapter cannot be found."),
            };
        }
        let in_place = self.can_reload && body["load_inplace"] == true;
        if self.adapters.contains_key(&name) && !in_place {
            return error(400, "The lora adapter has already been loaded.");
        }
        self.adapters
            .insert(name, body["lora_path"].as_str().unwrap().to_owned());
        reply(200, json!("ok"))
    }
}

fn reply(status: u16, body: Value) -> Reply {
    Ok(Response {
        status,
        body: body.to_string().into_bytes(),
    })
}
