//! Reads the schema from the tree, and collects what is wrong.

use std::sync::Arc;

use super::error::{ConfigError, Position, What};
use super::tree::{Node, Value};
use super::{MAX_MISTAKES, MAX_TEXT_BYTES};

/// What was found to be wrong so far.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub mistakes: Vec<ConfigError>,
}

/// A mapping's known keys.
pub(super) struct Fields<'a, const N: usize> {
    pub place: Position,
    /// In the order in which they were asked for.
    pub values: [Option<&'a Node>; N],
}

// === impl Reader ===

impl Reader {
    pub fn wrong(&mut self, place: Position, path: impl Into<String>, what: What) {
        let (path, what) = match self.mistakes.len() {
            0..MAX_MISTAKES => (path.into(), what),
            MAX_MISTAKES => (String::new(), What::More),
            _ => return,
        };
        self.mistakes.push(ConfigError { place, path, what });
    }

    /// Nothing more can be told, and the file is not used: what is odd must not hide what is wrong.
    pub fn is_full(&self) -> bool {
        self.mistakes.len() > MAX_MISTAKES
    }

    /// The keys `known` of a mapping. A key without a value is as good as none.
    pub fn fields<'a, const N: usize>(
        &mut self,
        node: &'a Node,
        path: &str,
        known: [&str; N],
    ) -> Option<Fields<'a, N>> {
        let Value::Map(pairs) = &node.value else {
            self.kind(node, path, "a mapping");
            return None;
        };
        let mut values = [None; N];
        let mut places = [None; N];
        for (key, value) in pairs {
            if self.is_full() {
                break;
            }
            let name = match &key.value {
                Value::Text(name) => &**name,
                _ => {
                    self.kind(key, path, "the name of a key");
                    continue;
                }
            };
            let slots = values.iter_mut().zip(&mut places);
            let slot = known.iter().zip(slots).find(|(known, _)| **known == name);
            match slot {
                Some((_, (_, Some(before)))) => self.wrong(key.place, join(path, name), What::KeyAgain(*before)),
                Some((_, (slot, before))) => {
                    *before = Some(key.place.line);
                    *slot = (!matches!(value.value, Value::Null)).then_some(&**value);
                }
                None if name == "<<" => self.wrong(key.place, path, What::MergeKey),
                None => self.wrong(key.place, join(path, name), What::UnknownKey),
            }
        }
        Some(Fields {
            place: node.place,
            values,
        })
    }

    /// A text that says something.
    pub fn text(&mut self, node: &Node, path: &str) -> Option<Arc<str>> {
        let what = match &node.value {
            Value::Text(text) if text.trim().is_empty() => What::EmptyText,
            Value::Text(text) if text.len() > MAX_TEXT_BYTES => What::LongText { max: MAX_TEXT_BYTES },
            Value::Text(text) if text.chars().any(char::is_control) => What::Control,
            Value::Text(text) => return Some(Arc::clone(text)),
            other => What::Kind {
                found: other.kind(),
                wanted: "text",
            },
        };
        self.wrong(node.place, path, what);
        None
    }

    /// A text that must be there.
    pub fn required(&mut self, node: Option<&Node>, parent: Position, path: &str) -> Option<Arc<str>> {
        match node {
            Some(node) => self.text(node, path),
            None => {
                self.wrong(parent, path, What::Missing);
                None
            }
        }
    }

    pub fn port(&mut self, node: &Node, path: &str) -> Option<u16> {
        let Value::Number(number) = &node.value else {
            self.kind(node, path, "a number");
            return None;
        };
        let port = number.parse().ok().filter(|port| *port > 0);
        if port.is_none() {
            self.wrong(node.place, path, What::Port(shortened(number)));
        }
        port
    }

    pub fn kind(&mut self, node: &Node, path: &str, wanted: &'static str) {
        let found = node.value.kind();
        self.wrong(node.place, path, What::Kind { found, wanted });
    }
}

/// A path one deeper.
pub(super) fn join(path: &str, key: &str) -> String {
    let key = shortened(key);
    match path {
        "" => key,
        path => format!("{path}.{key}"),
    }
}

/// Somebody's text, short enough for a message, and on one line.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 80;
    let text = text.replace(char::is_control, "\u{fffd}");
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
