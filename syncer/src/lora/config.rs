//! The configuration: which adapters the server should hold. Pure: bytes in, a [`Config`] or all mistakes out.
//!
//! ```yaml
//! vLLMLoRAConfig:
//!   host: localhost          # or https://…; default localhost
//!   port: 8000
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
//! The format is that of the reference's sidecar. A key that is not known is a warning, for the reference takes such files
//! too; so is an id in both lists. All else that is wrong is a mistake, and a file with one is not used: half of a list is
//! worse than yesterday's. An empty value (`models:` with nothing behind it) is as good as none.

mod error;
mod read;
mod tree;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::Uri;

pub use error::{ConfigError, Position, What};
use read::{Reader, join, shortened};
use tree::{Node, Value};

/// Where the server listens if nothing is said.
const DEFAULT_HOST: &str = "localhost";
/// vLLM's own default.
const DEFAULT_PORT: u16 = 8000;
/// What Kubernetes lets a ConfigMap hold.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Of each list. Every adapter is three series and may be a call; a server holds some hundreds.
pub const MAX_ADAPTERS: usize = 2000;
/// The longest path that Linux takes. It becomes a label's value.
const MAX_TEXT_BYTES: usize = 4096;
/// Enough for a person to see what is going on.
const MAX_MISTAKES: usize = 100;

/// Which adapters a server should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The server: scheme, host and port.
    pub server: Uri,
    /// What somebody calls this configuration.
    pub name: Option<Arc<str>>,
    /// To be loaded, in the file's order. Without those that stand in both lists.
    pub wanted: Vec<Adapter>,
    /// To be unloaded, in the file's order. Without those that stand in both lists.
    pub unwanted: Vec<Arc<str>>,
    /// Those that stand in both lists, in the order of `ensureExist`. They are left alone.
    pub conflicts: Vec<Arc<str>>,
}

/// An adapter to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// Its name on the server.
    pub id: Arc<str>,
    /// A path on the server, or the name of a repository.
    pub source: Arc<str>,
    /// The model that it adapts: its own `base-model`, else `defaultBaseModel`.
    pub base_model: Option<Arc<str>>,
}

/// A configuration that can be used, and what is odd about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// What it says.
    pub config: Config,
    /// In the file's order.
    pub warnings: Vec<ConfigError>,
}

/// An entry of one of the lists, and where its id stands.
struct Entry {
    id: Arc<str>,
    source: Option<Arc<str>>,
    base_model: Option<Arc<str>>,
    place: Position,
    path: String,
}

/// Reads a file. The error is all that is wrong with it, in the file's order, warnings too; of more than
/// a hundred the first that were found, and a word that there are more.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Vec<ConfigError>> {
    let mut reader = Reader::default();
    let config = match document(bytes) {
        Ok(root) => config(&mut reader, &root),
        Err(mistake) => return Err(vec![mistake]),
    };
    let mut mistakes = reader.mistakes;
    mistakes.sort_by_key(|mistake| mistake.place);
    match config {
        Some(config) if mistakes.iter().all(|mistake| mistake.what.is_warning()) => Ok(Parsed {
            config,
            warnings: mistakes,
        }),
        _ => Err(mistakes),
    }
}

fn document(bytes: &[u8]) -> Result<Arc<Node>, ConfigError> {
    let whole = |place, what| ConfigError {
        place,
        path: String::new(),
        what,
    };
    if bytes.len() > MAX_BYTES {
        return Err(whole(Position::START, What::TooLong { max: MAX_BYTES }));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => tree::read(text),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let before = String::from_utf8_lossy(before);
            let place = Position {
                line: before.matches('\n').count() + 1,
                column: before.chars().rev().take_while(|character| *character != '\n').count() + 1,
            };
            Err(whole(place, What::NotText))
        }
    }
}

fn config(reader: &mut Reader, root: &Node) -> Option<Config> {
    const TOP: &str = "vLLMLoRAConfig";
    let top = reader.fields(root, "", [TOP])?;
    let [Some(node)] = top.values else {
        reader.wrong(top.place, TOP, What::Missing);
        return None;
    };
    let keys = [
        "host",
        "port",
        "name",
        "defaultBaseModel",
        "ensureExist",
        "ensureNotExist",
    ];
    let [host, port, name, default_base, exist, not_exist] = reader.fields(node, TOP, keys)?.values;
    let path = |key: &str| join(TOP, key);

    let port = port.map_or(Some(DEFAULT_PORT), |node| reader.port(node, &path("port")));
    let server = server(reader, host, port, &path("host"));
    let name = name.and_then(|node| reader.text(node, &path("name")));
    let default_base = default_base.and_then(|node| reader.text(node, &path("defaultBaseModel")));
    let exist = entries(reader, exist, &path("ensureExist"), true);
    let not_exist = entries(reader, not_exist, &path("ensureNotExist"), false);

    let wanted_lines: HashMap<&str, usize> = exist.iter().map(|entry| (&*entry.id, entry.place.line)).collect();
    let mut conflicting = HashSet::new();
    for entry in &not_exist {
        if let Some(line) = wanted_lines.get(&*entry.id) {
            let id = shortened(&entry.id);
            reader.wrong(entry.place, entry.path.clone(), What::InBoth { id, line: *line });
            conflicting.insert(Arc::clone(&entry.id));
        }
    }
    let (conflicts, wanted): (Vec<_>, Vec<_>) = exist.into_iter().partition(|entry| conflicting.contains(&entry.id));
    let unwanted = not_exist.into_iter().map(|entry| entry.id);
    Some(Config {
        server: server?,
        name,
        wanted: wanted
            .into_iter()
            .filter_map(|entry| {
                Some(Adapter {
                    id: entry.id,
                    source: entry.source?,
                    base_model: entry.base_model.or_else(|| default_base.clone()),
                })
            })
            .collect(),
        unwanted: unwanted.filter(|id| !conflicting.contains(id)).collect(),
        conflicts: conflicts.into_iter().map(|entry| entry.id).collect(),
    })
}

/// `localhost`, `10.0.0.1`, `::1`, each also behind `http://` or `https://`.
fn server(reader: &mut Reader, host: Option<&Node>, port: Option<u16>, path: &str) -> Option<Uri> {
    let (text, place) = match host {
        Some(node) => (reader.text(node, path)?, node.place),
        None => (Arc::from(DEFAULT_HOST), Position::START),
    };
    let (scheme, name) = text.split_once("://").unwrap_or(("http", &text));
    let name = if name.parse::<std::net::Ipv6Addr>().is_ok() {
        format!("[{name}]")
    } else {
        name.to_owned()
    };
    let uri = format!("{scheme}://{name}:{}", port?).parse::<Uri>().ok();
    let uri = uri.filter(|uri| !name.is_empty() && matches!(scheme, "http" | "https") && uri.host() == Some(&*name));
    if uri.is_none() {
        reader.wrong(place, path, What::Host(shortened(&text)));
    }
    uri
}

/// The entries of `ensureExist` or `ensureNotExist`, each id once.
fn entries(reader: &mut Reader, node: Option<&Node>, path: &str, source_required: bool) -> Vec<Entry> {
    let Some(fields) = node.and_then(|node| reader.fields(node, path, ["models"])) else {
        return Vec::new();
    };
    let [Some(models)] = fields.values else {
        return Vec::new();
    };
    let path = join(path, "models");
    let Value::List(items) = &models.value else {
        reader.kind(models, &path, "a list");
        return Vec::new();
    };
    let (found, max) = (items.len(), MAX_ADAPTERS);
    if found > max {
        reader.wrong(models.place, path, What::TooMany { found, max });
        return Vec::new();
    }
    let mut entries: Vec<Entry> = Vec::new();
    let mut positions: HashMap<Arc<str>, usize> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        if reader.is_full() {
            break;
        }
        let Some(entry) = entry(reader, item, format!("{path}[{index}]"), source_required) else {
            continue;
        };
        let Some(before) = positions.get(&entry.id).and_then(|position| entries.get(*position)) else {
            positions.insert(Arc::clone(&entry.id), entries.len());
            entries.push(entry);
            continue;
        };
        let (id, line) = (shortened(&entry.id), before.place.line);
        let same = !source_required || (&before.source, &before.base_model) == (&entry.source, &entry.base_model);
        let what = if same {
            What::Again { id, line }
        } else {
            What::Contradiction { id, line }
        };
        reader.wrong(entry.place, entry.path, what);
    }
    entries
}

fn entry(reader: &mut Reader, item: &Node, path: String, source_required: bool) -> Option<Entry> {
    let fields = reader.fields(item, &path, ["id", "source", "base-model"])?;
    let [id, source, base_model] = fields.values;
    let at = |key| join(&path, key);
    let place = id.map_or(fields.place, |node| node.place);
    let id = reader.required(id, fields.place, &at("id"));
    let source = if source_required {
        reader.required(source, fields.place, &at("source"))
    } else {
        source.and_then(|node| reader.text(node, &at("source")))
    };
    let base_model = base_model.and_then(|node| reader.text(node, &at("base-model")));
    Some(Entry {
        id: id?,
        source,
        base_model,
        place,
        path: at("id"),
    })
}

#[cfg(test)]
mod tests;
