//! A fake model server that behaves as vLLM or SGLang does.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{TYPO, UNLISTED};
use crate::lora::action::Action;
use crate::lora::api::LoraApi;
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

/// What a server's list has as `root`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roots {
    /// None at all.
    Absent,
    /// The source.
    Source,
    /// A path that the server has made of the source.
    Resolved,
}

#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub api: LoraApi,
    pub can_reload: bool,
    pub roots: Roots,
}

pub struct Server {
    /// Sources by id.
    pub adapters: BTreeMap<String, String>,
    pub kind: Kind,
}

pub fn kind() -> impl Strategy<Value = Kind> {
    let api = prop_oneof![Just(LoraApi::Vllm), Just(LoraApi::Sglang)];
    let roots = prop_oneof![Just(Roots::Absent), Just(Roots::Source), Just(Roots::Resolved)];
    (api, any::<bool>(), roots).prop_map(|(api, can_reload, roots)| Kind {
        api,
        can_reload: can_reload && api == LoraApi::Vllm,
        roots,
    })
}

// === impl Server ===

impl Server {
    pub fn new(kind: Kind) -> Self {
        let mut server = Self {
            adapters: BTreeMap::new(),
            kind,
        };
        server.restart(&[]);
        server
    }

    /// Afterwards it has the adapters of its command line.
    pub fn restart(&mut self, adapters: &[(&str, &str)]) {
        let unlisted = [(UNLISTED, "/unlisted")];
        let adapters = adapters.iter().chain(&unlisted);
        self.adapters = adapters
            .map(|(id, source)| ((*id).to_owned(), (*source).to_owned()))
            .collect();
    }

    pub fn list(&self) -> Reply {
        let model = |(id, source): (&String, &String)| {
            let root = match self.kind.roots {
                Roots::Absent => None,
                Roots::Source => Some(source.clone()),
                Roots::Resolved => Some(format!("/cache{source}")),
            };
            json!({"id": id, "parent": "tiny", "root": root})
        };
        let owner = match self.kind.api {
            LoraApi::Vllm => "vllm",
            LoraApi::Sglang => "sglang",
        };
        let base = json!({"id": "tiny", "parent": "", "owned_by": owner});
        let data: Vec<_> = std::iter::once(base).chain(self.adapters.iter().map(model)).collect();
        reply(200, json!({ "data": data }))
    }

    /// The outcomes of an action's requests.
    pub fn carry_out(
        &mut self,
        action: &Action,
        mut faults: impl Iterator<Item = Option<Fault>>,
    ) -> Vec<(Operation, Outcome)> {
        let api = self.kind.api;
        let mut outcomes = Vec::new();
        while let Some(request) = action.next_request(api, &outcomes) {
            let reply = self.handle(&request, faults.next().flatten());
            outcomes.push((request.operation, Outcome::of(api, request.operation, &reply)));
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
        let is_vllm = self.kind.api == LoraApi::Vllm;
        assert_eq!(request.path.starts_with("/v1/"), is_vllm, "{}", request.path);
        let error = |status, vllm: &str, sglang: &str| match is_vllm {
            true => reply(status, json!({"error": {"message": vllm}})),
            false => reply(400, json!({"success": false, "error_message": sglang})),
        };
        if request.operation == Operation::Unload {
            return match self.adapters.remove(&name) {
                Some(_) => reply(200, json!("ok")),
                None => error(
                    404,
                    "The lora adapter cannot be found.",
                    "LoRA with name a does not exist.",
                ),
            };
        }
        let in_place = self.kind.can_reload && body["load_inplace"] == true;
        if self.adapters.contains_key(&name) && !in_place {
            return error(
                400,
                "The lora adapter has already been loaded.",
                "Failed to load LoRA adapter a because it is already loaded",
            );
        }
        let source = body["lora_path"].as_str().unwrap().to_owned();
        if source.ends_with(TYPO) {
            return error(404, "No adapter found", "[Errno 2] No such file or directory");
        }
        // A server that reports resolved paths loads from them, too.
        let source = source.trim_start_matches("/cache").to_owned();
        self.adapters.insert(name, source);
        reply(200, json!("ok"))
    }
}

fn reply(status: u16, body: Value) -> Reply {
    Ok(Response {
        status,
        body: body.to_string().into_bytes(),
    })
}
