//! The configuration file: which adapters a model server should have loaded. Pure: bytes in, a [`Config`] or all
//! configuration errors out.
//!
//! ```yaml
//! vLLMLoRAConfig:
//!   host: localhost          # or https://…; default localhost
//!   port: 8000               # or ports: [8000, 8001]
//!   defaultBaseModel: base
//!   ensureExist:
//!     models:
//!     - id: lora-a
//!       source: /adapters/lora-a
//!       base-model: base
//!   ensureNotExist:
//!     models:
//!     - id: lora-b
//! ```
//! The format is that of Gateway API Inference Extension's LoRA sidecar, with `ports` for servers beside each other. What that sidecar accepts is at most a warning: an
//! unknown key, a duplicate adapter, an id in both lists. Any other error makes the whole file invalid, because half of a
//! list is worse than the previous one. A null value (`models:` with nothing after it) is the same as no key.

mod address;
mod error;
mod schema;
mod yaml;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::Uri;

pub use address::MAX_SERVERS;
pub use error::{ConfigError, ConfigErrorKind, Position};
use schema::{Errors, join, shortened};
use yaml::{Node, Value};

/// Kubernetes' limit for a ConfigMap.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Per list. Each adapter has three series and may need requests; servers hold some hundreds.
pub const MAX_ADAPTERS: usize = 2000;
/// Linux' limit for a path. Sources and ids become label values.
const MAX_STRING_BYTES: usize = 4096;
/// Errors and warnings of one file; more than anyone reads.
const MAX_ERRORS: usize = 100;

/// A valid configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The model servers, at least one: scheme, host and port. Different from each other, in the order of `ports`.
    pub servers: Vec<Uri>,
    /// The configuration's own name, for the log.
    pub name: Option<Arc<str>>,
    /// Adapters in `ensureExist` only, in the order of the file.
    pub desired: Vec<AdapterSpec>,
    /// Ids in `ensureNotExist` only, in the order of the file.
    pub excluded: Vec<Arc<str>>,
    /// Ids in both lists, in the order of `ensureExist`.
    pub conflicts: Vec<Arc<str>>,
}

/// An adapter that should be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterSpec {
    /// The model name in requests to the server.
    pub id: Arc<str>,
    /// A path in the server's file system, or the name of a repository.
    pub source: Arc<str>,
    /// `base-model`, else `defaultBaseModel`.
    pub base_model: Option<Arc<str>>,
}

/// A valid configuration and its warnings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The configuration.
    pub config: Config,
    /// By position.
    pub warnings: Vec<ConfigError>,
}

/// An item of a list of models.
struct Listed {
    id: Arc<str>,
    source: Option<Arc<str>>,
    base_model: Option<Arc<str>>,
    /// Of the id.
    position: Position,
    /// Of the id.
    path: String,
}

/// Parses a file.
///
/// # Errors
/// All errors and warnings of the file, by position; the first hundred found, and then one that says so.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Vec<ConfigError>> {
    let mut errors = Errors::default();
    let config = match document(bytes) {
        Ok(root) => config(&mut errors, &root),
        Err(error) => return Err(vec![error]),
    };
    let mut errors = errors.list;
    errors.sort_by_key(|error| error.position);
    match config {
        Some(config) if errors.iter().all(|error| error.kind.is_warning()) => Ok(Parsed {
            config,
            warnings: errors,
        }),
        _ => Err(errors),
    }
}

fn document(bytes: &[u8]) -> Result<Arc<Node>, ConfigError> {
    if bytes.len() > MAX_BYTES {
        let kind = ConfigErrorKind::FileTooLarge { max: MAX_BYTES };
        return Err(yaml::error(Position::START, kind));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => yaml::parse(text),
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let valid = String::from_utf8_lossy(valid);
            let position = Position {
                line: valid.matches('\n').count() + 1,
                column: valid.chars().rev().take_while(|character| *character != '\n').count() + 1,
            };
            Err(yaml::error(position, ConfigErrorKind::NotUtf8))
        }
    }
}

fn config(errors: &mut Errors, root: &Node) -> Option<Config> {
    const TOP: &str = "vLLMLoRAConfig";
    let top = errors.fields(root, "", [TOP])?;
    let [Some(node)] = top.values else {
        errors.add(top.position, TOP, ConfigErrorKind::Missing);
        return None;
    };
    let keys = [
        "host",
        "port",
        "ports",
        "name",
        "defaultBaseModel",
        "ensureExist",
        "ensureNotExist",
    ];
    let [host, port, ports, name, default_base, exist, not_exist] = errors.fields(node, TOP, keys)?.values;
    let path = |key: &str| join(TOP, key);

    let ports = address::ports(errors, port, ports, TOP);
    let host = address::host(errors, host, &path("host"));
    let name = name.and_then(|node| errors.string(node, &path("name")));
    let default_base = default_base.and_then(|node| errors.string(node, &path("defaultBaseModel")));
    let exist = models(errors, exist, &path("ensureExist"), true);
    let not_exist = models(errors, not_exist, &path("ensureNotExist"), false);

    let exist_lines: HashMap<&str, usize> = exist.iter().map(|item| (&*item.id, item.position.line)).collect();
    let mut in_both = HashSet::new();
    for item in &not_exist {
        if let Some(line) = exist_lines.get(&*item.id) {
            let (id, line) = (shortened(&item.id), *line);
            let kind = ConfigErrorKind::InBothLists { id, line };
            errors.add(item.position, item.path.clone(), kind);
            in_both.insert(Arc::clone(&item.id));
        }
    }
    let (conflicts, desired): (Vec<_>, Vec<_>) = exist.into_iter().partition(|item| in_both.contains(&item.id));
    let excluded = not_exist.into_iter().map(|item| item.id);
    let (host, ports) = (host?, ports?);
    Some(Config {
        servers: ports.iter().filter_map(|port| host.with_port(*port)).collect(),
        name,
        desired: desired
            .into_iter()
            .filter_map(|item| {
                Some(AdapterSpec {
                    id: item.id,
                    source: item.source?,
                    base_model: item.base_model.or_else(|| default_base.clone()),
                })
            })
            .collect(),
        excluded: excluded.filter(|id| !in_both.contains(id)).collect(),
        conflicts: conflicts.into_iter().map(|item| item.id).collect(),
    })
}

/// The models of `ensureExist` or `ensureNotExist`, without duplicates.
fn models(errors: &mut Errors, node: Option<&Node>, path: &str, source_required: bool) -> Vec<Listed> {
    let Some(fields) = node.and_then(|node| errors.fields(node, path, ["models"])) else {
        return Vec::new();
    };
    let [Some(models)] = fields.values else {
        return Vec::new();
    };
    let path = join(path, "models");
    let Value::List(nodes) = &models.value else {
        errors.wrong_type(models, &path, "a list");
        return Vec::new();
    };
    let (found, max) = (nodes.len(), MAX_ADAPTERS);
    if found > max {
        let kind = ConfigErrorKind::TooManyAdapters { found, max };
        errors.add(models.position, path, kind);
        return Vec::new();
    }
    let mut items: Vec<Listed> = Vec::new();
    let mut indexes: HashMap<Arc<str>, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        if errors.is_full() {
            break;
        }
        let Some(item) = model(errors, node, format!("{path}[{index}]"), source_required) else {
            continue;
        };
        let Some(first) = indexes.get(&item.id).and_then(|index| items.get(*index)) else {
            indexes.insert(Arc::clone(&item.id), items.len());
            items.push(item);
            continue;
        };
        let (id, line) = (shortened(&item.id), first.position.line);
        let same = !source_required || (&first.source, &first.base_model) == (&item.source, &item.base_model);
        let kind = if same {
            ConfigErrorKind::DuplicateAdapter { id, line }
        } else {
            ConfigErrorKind::ContradictoryAdapter { id, line }
        };
        errors.add(item.position, item.path, kind);
    }
    items
}

fn model(errors: &mut Errors, node: &Node, path: String, source_required: bool) -> Option<Listed> {
    let fields = errors.fields(node, &path, ["id", "source", "base-model"])?;
    let [id, source, base_model] = fields.values;
    let at = |key| join(&path, key);
    let position = id.map_or(fields.position, |node| node.position);
    let id = errors.required(id, fields.position, &at("id"));
    let source = if source_required {
        errors.required(source, fields.position, &at("source"))
    } else {
        source.and_then(|node| errors.string(node, &at("source")))
    };
    let base_model = base_model.and_then(|node| errors.string(node, &at("base-model")));
    Some(Listed {
        id: id?,
        source,
        base_model,
        position,
        path: at("id"),
    })
}

#[cfg(test)]
mod tests;
