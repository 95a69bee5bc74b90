//! SGLang's responses to loads and unloads of adapters: one form, status 400 for every failure, no reload in place. After
//! SGLang's source; `tests/fixtures/sglang-lora/README.md` names the files.

use hyper::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::body::PlannedBody;
use crate::models::{ModelRegistry, is_missing};
use crate::pydantic;
use crate::response::{JSON, typed};

/// `POST /load_lora_adapter`, else `POST /unload_lora_adapter`.
pub(crate) fn change(models: &mut ModelRegistry, loads: bool, body: &[u8]) -> Response<PlannedBody> {
    let fields = pydantic::object(body).unwrap_or_default();
    let result = if loads {
        load(models, &fields)
    } else {
        unload(models, &fields)
    };
    let status = match result {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::BAD_REQUEST,
    };
    let loaded: Map<String, Value> = models
        .adapters()
        .map(|(name, path)| (name.to_owned(), path.into()))
        .collect();
    let body = json!({
        "rid": null,
        "http_worker_ipc": null,
        "success": result.is_ok(),
        "error_message": result.err().unwrap_or_default(),
        "loaded_adapters": loaded,
    });
    typed(status, JSON, body.to_string())
}

fn load(models: &mut ModelRegistry, fields: &Map<String, Value>) -> Result<(), String> {
    let (name, path) = (field(fields, "lora_name")?, field(fields, "lora_path")?);
    if models.has(name) {
        return Err(format!(
            "Failed to load LoRA adapter {name} because it is already loaded"
        ));
    }
    if is_missing(path) {
        let file = Value::from(format!("{path}/adapter_config.json"));
        return Err(format!("[Errno 2] No such file or directory: {file}"));
    }
    models.insert(name, path);
    Ok(())
}

fn unload(models: &mut ModelRegistry, fields: &Map<String, Value>) -> Result<(), String> {
    let name = field(fields, "lora_name")?;
    if !models.has(name) {
        let names: Vec<_> = models.adapters().map(|(name, _)| name).collect();
        return Err(format!("LoRA with name {name} does not exist. Loaded LoRAs: {names:?}"));
    }
    models.remove(name);
    Ok(())
}

fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    let text = fields.get(name).and_then(Value::as_str);
    text.ok_or_else(|| format!("1 validation error: {name}: Field required"))
}
