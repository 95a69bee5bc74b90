//! Owns which models the server has: the base model and the adapters that are loaded and unloaded at run time.

use hyper::StatusCode;
use serde_json::{Map, Value};

use crate::api_error::ApiError;
use crate::pydantic;

/// An adapter whose path starts like this is not there.
const MISSING: &str = "/missing";
/// A path that starts like this holds, up to the next `/`, what its load gets, as a header `x-sim` would say it:
/// `/x-sim/delay=60s;status=500/adapters/a`. The rest is the path proper.
const FAULTS: &str = "/x-sim/";

/// The models of one server.
#[derive(Debug)]
pub(crate) struct Shelf {
    base: String,
    max_model_len: u64,
    loads_in_place: bool,
    at_start: Vec<Adapter>,
    adapters: Vec<Adapter>,
}

#[derive(Debug, Clone)]
struct Adapter {
    name: String,
    path: String,
}

/// Whom a load or an unload is about, as far as it says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) name: Option<String>,
    /// What its path asks for in the manner of `x-sim`.
    pub(crate) faults: Option<String>,
}

// === impl About ===

impl About {
    pub(crate) fn read(body: &[u8]) -> Self {
        let fields = pydantic::object(body).unwrap_or_default();
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let faults = text("lora_path").and_then(|path| faults(path).0);
        Self {
            name: text("lora_name").map(str::to_owned),
            faults: faults.map(str::to_owned),
        }
    }
}

/// The faults in a path, and the path proper.
fn faults(path: &str) -> (Option<&str>, &str) {
    let Some(rest) = path.strip_prefix(FAULTS) else {
        return (None, path);
    };
    match rest.find('/') {
        Some(end) => (rest.get(..end), rest.get(end..).unwrap_or_default()),
        None => (Some(rest), ""),
    }
}

// === impl Shelf ===

impl Shelf {
    pub(crate) fn new(base: &str, max_model_len: u64, adapters: &[String], loads_in_place: bool) -> Self {
        let adapters = adapters.iter().map(|name| Adapter {
            name: name.clone(),
            path: format!("/adapters/{name}"),
        });
        let at_start: Vec<Adapter> = adapters.collect();
        Self {
            base: base.to_owned(),
            max_model_len,
            loads_in_place,
            adapters: at_start.clone(),
            at_start,
        }
    }

    /// What a restart does: only what it was started with is loaded.
    pub(crate) fn forget(&mut self) {
        self.adapters.clone_from(&self.at_start);
    }

    /// The model that serves a request for `asked`, and whether it is an adapter.
    pub(crate) fn find(&self, asked: Option<&str>) -> Result<(String, bool), ApiError> {
        let name = asked.unwrap_or(&self.base);
        if name == self.base {
            return Ok((name.to_owned(), false));
        }
        if self.has(name) {
            return Ok((name.to_owned(), true));
        }
        let message = format!("The model `{name}` does not exist. Valid aliases: {}.", self.base);
        Err(ApiError::new(StatusCode::NOT_FOUND, "NotFoundError", message).about("model"))
    }

    /// `POST /v1/load_lora_adapter`: the text of the answer.
    pub(crate) fn load(&mut self, body: &[u8]) -> Result<String, ApiError> {
        let fields = pydantic::object(body)?;
        let name = required(&fields, "lora_name")?;
        let path = required(&fields, "lora_path")?;
        let in_place = pydantic::boolean(fields.get("load_inplace"), "body.load_inplace")?.unwrap_or(false);
        if name.is_empty() || path.is_empty() {
            return Err(invalid("Both 'lora_name' and 'lora_path' must be provided."));
        }
        if name == self.base {
            return Err(invalid(&format!(
                "The lora adapter '{name}' conflicts with a served base model."
            )));
        }
        if self.has(&name) && !(in_place && self.loads_in_place) {
            let hint = if self.loads_in_place {
                " If you want to load the adapter in place, set 'load_inplace' to True."
            } else {
                ""
            };
            return Err(invalid(&format!(
                "The lora adapter '{name}' has already been loaded.{hint}"
            )));
        }
        if faults(&path).1.starts_with(MISSING) {
            return Err(not_found(&format!(
                "Loading lora {name} failed: No adapter found for {path}"
            )));
        }
        match self.adapters.iter_mut().find(|adapter| adapter.name == name) {
            Some(adapter) => adapter.path = path,
            None => self.adapters.push(Adapter {
                name: name.clone(),
                path,
            }),
        }
        Ok(format!("Success: LoRA adapter '{name}' added successfully."))
    }

    /// `POST /v1/unload_lora_adapter`: the text of the answer.
    pub(crate) fn unload(&mut self, body: &[u8]) -> Result<String, ApiError> {
        let fields = pydantic::object(body)?;
        let name = required(&fields, "lora_name")?;
        if name.is_empty() {
            return Err(invalid("'lora_name' needs to be provided to unload a LoRA adapter."));
        }
        if !self.has(&name) {
            return Err(not_found(&format!("The lora adapter '{name}' cannot be found.")));
        }
        self.adapters.retain(|adapter| adapter.name != name);
        Ok(format!("Success: LoRA adapter '{name}' removed successfully."))
    }

    /// `GET /v1/models`: the base model, then the adapters as they were loaded.
    pub(crate) fn list(&self, created: u64) -> String {
        let Self {
            base,
            max_model_len,
            loads_in_place: _,
            at_start: _,
            adapters,
        } = self;
        let base_card = card(base, &format!("/models/{base}"), None, Some(*max_model_len), created);
        let cards = adapters
            .iter()
            .map(|adapter| card(&adapter.name, &adapter.path, Some(base), None, created));
        let cards: Vec<String> = std::iter::once(base_card).chain(cards).collect();
        format!(r#"{{"object":"list","data":[{}]}}"#, cards.join(","))
    }

    fn has(&self, name: &str) -> bool {
        self.adapters.iter().any(|adapter| adapter.name == name)
    }
}

fn card(name: &str, root: &str, parent: Option<&str>, max_model_len: Option<u64>, created: u64) -> String {
    let permission_id = format!("modelperm-{created:016x}");
    let (name, root, parent) = (Value::from(name), Value::from(root), Value::from(parent));
    let max_model_len = Value::from(max_model_len);
    format!(
        r#"{{"id":{name},"object":"model","created":{created},"owned_by":"vllm","root":{root},"parent":{parent},"max_model_len":{max_model_len},"permission":[{{"id":"{permission_id}","object":"model_permission","created":{created},"allow_create_engine":false,"allow_sampling":true,"allow_logprobs":true,"allow_search_indices":false,"allow_view":true,"allow_fine_tuning":false,"organization":"*","group":null,"is_blocking":false}}]}}"#
    )
}

fn required(fields: &Map<String, Value>, name: &str) -> Result<String, ApiError> {
    let missing = || ApiError::missing(name, &Value::Object(fields.clone()));
    pydantic::string(fields.get(name), &format!("body.{name}"))?.ok_or_else(missing)
}

fn invalid(message: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "InvalidUserInput", message)
}

fn not_found(message: &str) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "NotFoundError", message)
}
