//! Owns the models of the server: the base model and the adapters loaded and unloaded at run time.

use hyper::StatusCode;
use serde_json::{Map, Value};

use crate::api_error::ApiError;
use crate::config::AdapterApi;
use crate::pydantic;

/// Prefix of the paths of adapters that do not exist.
const MISSING: &str = "/missing";
/// Prefix of the paths that carry an `x-sim` list for their load, up to the next `/`; the rest is the actual path:
/// `/x-sim/delay=60s;status=500/adapters/a`.
const FAULTS: &str = "/x-sim/";

#[derive(Debug)]
pub(crate) struct ModelRegistry {
    base: String,
    max_model_len: u64,
    supports_inplace: bool,
    initial: Vec<Adapter>,
    adapters: Vec<Adapter>,
}

#[derive(Debug, Clone)]
struct Adapter {
    name: String,
    path: String,
}

/// The adapter that a load or an unload names, and its faults.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AdapterTarget {
    pub(crate) name: Option<String>,
    /// The `x-sim` list in its path.
    pub(crate) faults: Option<String>,
}

// === impl AdapterTarget ===

impl AdapterTarget {
    pub(crate) fn parse(body: &[u8]) -> Self {
        let fields = pydantic::object(body).unwrap_or_default();
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let faults = text("lora_path").and_then(|path| faults(path).0);
        Self {
            name: text("lora_name").map(str::to_owned),
            faults: faults.map(str::to_owned),
        }
    }
}

/// The `x-sim` list in a path, and the actual path.
fn faults(path: &str) -> (Option<&str>, &str) {
    let Some(rest) = path.strip_prefix(FAULTS) else {
        return (None, path);
    };
    match rest.find('/') {
        Some(end) => (rest.get(..end), rest.get(end..).unwrap_or_default()),
        None => (Some(rest), ""),
    }
}

// === impl ModelRegistry ===

impl ModelRegistry {
    pub(crate) fn new(base: &str, max_model_len: u64, adapters: &[String], supports_inplace: bool) -> Self {
        let adapters = adapters.iter().map(|name| Adapter {
            name: name.clone(),
            path: format!("/adapters/{name}"),
        });
        let initial: Vec<Adapter> = adapters.collect();
        Self {
            base: base.to_owned(),
            max_model_len,
            supports_inplace,
            adapters: initial.clone(),
            initial,
        }
    }

    /// Restores the adapters of the start.
    pub(crate) fn reset(&mut self) {
        self.adapters.clone_from(&self.initial);
    }

    pub(crate) fn set(&mut self, adapters: &[(&str, &str)]) {
        let adapters = adapters.iter().map(|(name, path)| Adapter {
            name: (*name).to_owned(),
            path: (*path).to_owned(),
        });
        self.adapters = adapters.collect();
    }

    /// The model that serves a request for `requested`, and whether it is an adapter.
    pub(crate) fn find(&self, requested: Option<&str>) -> Result<(String, bool), ApiError> {
        let name = requested.unwrap_or(&self.base);
        if name == self.base {
            return Ok((name.to_owned(), false));
        }
        if self.has(name) {
            return Ok((name.to_owned(), true));
        }
        let message = format!("The model `{name}` does not exist. Valid aliases: {}.", self.base);
        Err(ApiError::new(StatusCode::NOT_FOUND, "NotFoundError", message).with_param("model"))
    }

    /// `POST /v1/load_lora_adapter`: the body of the response.
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
        if self.has(&name) && !(in_place && self.supports_inplace) {
            let hint = if self.supports_inplace {
                " If you want to load the adapter in place, set 'load_inplace' to True."
            } else {
                ""
            };
            return Err(invalid(&format!(
                "The lora adapter '{name}' has already been loaded.{hint}"
            )));
        }
        if is_missing(&path) {
            return Err(not_found(&format!(
                "Loading lora {name} failed: No adapter found for {path}"
            )));
        }
        self.insert(&name, &path);
        Ok(format!("Success: LoRA adapter '{name}' added successfully."))
    }

    /// `POST /v1/unload_lora_adapter`: the body of the response.
    pub(crate) fn unload(&mut self, body: &[u8]) -> Result<String, ApiError> {
        let fields = pydantic::object(body)?;
        let name = required(&fields, "lora_name")?;
        if name.is_empty() {
            return Err(invalid("'lora_name' needs to be provided to unload a LoRA adapter."));
        }
        if !self.has(&name) {
            return Err(not_found(&format!("The lora adapter '{name}' cannot be found.")));
        }
        self.remove(&name);
        Ok(format!("Success: LoRA adapter '{name}' removed successfully."))
    }

    /// `GET /v1/models`: the base model, then the adapters in order of loading.
    pub(crate) fn list(&self, api: AdapterApi, created: u64) -> String {
        let Self {
            base,
            max_model_len,
            supports_inplace: _,
            initial: _,
            adapters,
        } = self;
        let root = match api {
            AdapterApi::Vllm => format!("/models/{base}"),
            AdapterApi::Sglang => base.clone(),
        };
        let base_card = card(api, base, &root, None, Some(*max_model_len), created);
        let cards = adapters
            .iter()
            .map(|adapter| card(api, &adapter.name, &adapter.path, Some(base), None, created));
        let cards: Vec<String> = std::iter::once(base_card).chain(cards).collect();
        format!(r#"{{"object":"list","data":[{}]}}"#, cards.join(","))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.adapters.iter().any(|adapter| adapter.name == name)
    }

    pub(crate) fn insert(&mut self, name: &str, path: &str) {
        let path = path.to_owned();
        match self.adapters.iter_mut().find(|adapter| adapter.name == name) {
            Some(adapter) => adapter.path = path,
            None => self.adapters.push(Adapter {
                name: name.to_owned(),
                path,
            }),
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.adapters.retain(|adapter| adapter.name != name);
    }

    /// Names and paths, in order of loading.
    pub(crate) fn adapters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.adapters
            .iter()
            .map(|adapter| (adapter.name.as_str(), adapter.path.as_str()))
    }
}

/// Whether no adapter is at this path.
pub(crate) fn is_missing(path: &str) -> bool {
    faults(path).1.starts_with(MISSING)
}

fn card(
    api: AdapterApi,
    name: &str,
    root: &str,
    parent: Option<&str>,
    max_model_len: Option<u64>,
    created: u64,
) -> String {
    let (name, root, parent) = (Value::from(name), Value::from(root), Value::from(parent));
    let max_model_len = Value::from(max_model_len);
    let (owner, permission) = match api {
        AdapterApi::Vllm => ("vllm", permission(created)),
        AdapterApi::Sglang => ("sglang", String::new()),
    };
    format!(
        r#"{{"id":{name},"object":"model","created":{created},"owned_by":"{owner}","root":{root},"parent":{parent},"max_model_len":{max_model_len}{permission}}}"#
    )
}

fn permission(created: u64) -> String {
    let id = format!("modelperm-{created:016x}");
    format!(
        r#","permission":[{{"id":"{id}","object":"model_permission","created":{created},"allow_create_engine":false,"allow_sampling":true,"allow_logprobs":true,"allow_search_indices":false,"allow_view":true,"allow_fine_tuning":false,"organization":"*","group":null,"is_blocking":false}}]"#
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
