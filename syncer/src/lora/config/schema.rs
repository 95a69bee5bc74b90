//! Typed access to the nodes of the document, collecting an error for each invalid one.

use std::sync::Arc;

use super::error::{ConfigError, ConfigErrorKind, Position};
use super::yaml::{Node, Value};
use super::{MAX_ERRORS, MAX_STRING_BYTES};

/// Errors and warnings so far, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Errors {
    pub list: Vec<ConfigError>,
}

/// The values of a mapping's known keys.
pub(super) struct Fields<'a, const N: usize> {
    /// Of the mapping.
    pub position: Position,
    /// In the order of the keys that were passed.
    pub values: [Option<&'a Node>; N],
}

// === impl Errors ===

impl Errors {
    pub fn add(&mut self, position: Position, path: impl Into<String>, kind: ConfigErrorKind) {
        let (path, kind) = match self.list.len() {
            0..MAX_ERRORS => (path.into(), kind),
            MAX_ERRORS => (String::new(), ConfigErrorKind::TooManyErrors),
            _ => return,
        };
        self.list.push(ConfigError { position, path, kind });
    }

    /// No more errors are added. The file is then invalid, even if all of them are warnings: the next one might not be.
    pub fn is_full(&self) -> bool {
        self.list.len() > MAX_ERRORS
    }

    /// The values of the keys `known` of a mapping. A null value is the same as no key.
    pub fn fields<'a, const N: usize>(
        &mut self,
        node: &'a Node,
        path: &str,
        known: [&str; N],
    ) -> Option<Fields<'a, N>> {
        let Value::Map(pairs) = &node.value else {
            self.wrong_type(node, path, "a mapping");
            return None;
        };
        let mut values = [None; N];
        let mut lines = [None; N];
        for (key, value) in pairs {
            if self.is_full() {
                break;
            }
            let name = match &key.value {
                Value::String(name) => &**name,
                _ => {
                    self.wrong_type(key, path, "a string as the key");
                    continue;
                }
            };
            let slots = values.iter_mut().zip(&mut lines);
            let slot = known.iter().zip(slots).find(|(known, _)| **known == name);
            match slot {
                Some((_, (_, Some(line)))) => {
                    let line = *line;
                    self.add(key.position, join(path, name), ConfigErrorKind::DuplicateKey { line });
                }
                Some((_, (slot, line))) => {
                    *line = Some(key.position.line);
                    *slot = (!matches!(value.value, Value::Null)).then_some(&**value);
                }
                None if name == "<<" => self.add(key.position, path, ConfigErrorKind::MergeKey),
                None => self.add(key.position, join(path, name), ConfigErrorKind::UnknownKey),
            }
        }
        Some(Fields {
            position: node.position,
            values,
        })
    }

    /// A string of one line that is neither empty nor too long.
    pub fn string(&mut self, node: &Node, path: &str) -> Option<Arc<str>> {
        let kind = match &node.value {
            Value::String(text) if text.trim().is_empty() => ConfigErrorKind::EmptyString,
            Value::String(text) if text.len() > MAX_STRING_BYTES => {
                ConfigErrorKind::StringTooLong { max: MAX_STRING_BYTES }
            }
            Value::String(text) if text.chars().any(char::is_control) => ConfigErrorKind::ControlCharacter,
            Value::String(text) => return Some(Arc::clone(text)),
            _ => {
                self.wrong_type(node, path, "a string");
                return None;
            }
        };
        self.add(node.position, path, kind);
        None
    }

    /// A string that must be given. `parent` is the position of the mapping.
    pub fn required(&mut self, node: Option<&Node>, parent: Position, path: &str) -> Option<Arc<str>> {
        match node {
            Some(node) => self.string(node, path),
            None => {
                self.add(parent, path, ConfigErrorKind::Missing);
                None
            }
        }
    }

    pub fn port(&mut self, node: &Node, path: &str) -> Option<u16> {
        let Value::Number(number) = &node.value else {
            self.wrong_type(node, path, "a number");
            return None;
        };
        let port = number.parse().ok().filter(|port| *port > 0);
        if port.is_none() {
            self.add(node.position, path, ConfigErrorKind::InvalidPort(shortened(number)));
        }
        port
    }

    pub fn wrong_type(&mut self, node: &Node, path: &str, expected: &'static str) {
        let found = node.value.type_name();
        self.add(node.position, path, ConfigErrorKind::WrongType { expected, found });
    }
}

/// The path of a key in the mapping at `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    let key = shortened(key);
    match path {
        "" => key,
        path => format!("{path}.{key}"),
    }
}

/// A string of the file for an error message: one line, and not long.
pub(super) fn shortened(text: &str) -> String {
    const MAX_CHARS: usize = 80;
    let text = text.replace(char::is_control, "\u{fffd}");
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
