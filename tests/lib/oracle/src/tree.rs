//! A JSON document as a tree that `serde_json` parses, with the members of objects in order and duplicate keys kept.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number.
    Number(f64),
    /// A string, its escapes decoded.
    Text(String),
    /// An array.
    List(Vec<Tree>),
    /// An object.
    Object(Vec<(String, Tree)>),
}

struct TreeVisitor;

// === impl Tree ===

impl Tree {
    /// `None` if `serde_json` refuses the document. Servers accept more than it does, so that decides nothing.
    pub fn parse(document: &[u8]) -> Option<Self> {
        let text = document.strip_prefix("\u{feff}".as_bytes()).unwrap_or(document);
        serde_json::from_slice(&replace_lone_surrogates(text)).ok()
    }

    /// The values of this key, in order; none if this is no object.
    pub fn members<'a>(&'a self, key: &'a str) -> impl DoubleEndedIterator<Item = &'a Self> {
        let members = if let Self::Object(members) = self {
            members.as_slice()
        } else {
            &[]
        };
        members
            .iter()
            .filter(move |(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// The values at the path of these keys, in the order of the document.
    pub fn at<'a>(&'a self, keys: &[&'static str]) -> Vec<&'a Self> {
        keys.iter().fold(vec![self], |found, key| {
            found.into_iter().flat_map(|value| value.members(key)).collect()
        })
    }

    /// The last of them: of duplicate keys the last one wins.
    pub fn last(&self, keys: &[&'static str]) -> Option<&Self> {
        self.at(keys).last().copied()
    }

    /// The last of them, if it is a string.
    pub fn last_text(&self, keys: &[&'static str]) -> Option<&str> {
        self.last(keys)?.text()
    }

    /// The last of them, if it is a string that can be a model's name.
    pub fn last_name(&self, keys: &[&'static str]) -> Option<String> {
        self.last_text(keys).filter(|name| !name.is_empty()).map(str::to_owned)
    }

    /// An array's elements.
    pub fn elements(&self) -> &[Self] {
        if let Self::List(elements) = self { elements } else { &[] }
    }

    /// A string's text.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

/// The document with a replacement character for each half of a surrogate pair that stands alone: `serde_json` refuses
/// those, and servers send them.
fn replace_lone_surrogates(document: &[u8]) -> Vec<u8> {
    let unit = |rest: &[u8]| match rest {
        [b'\\', b'u', digits @ ..] => {
            let digits = std::str::from_utf8(digits.get(..4)?).ok()?;
            u16::from_str_radix(digits, 16).ok()
        }
        _ => None,
    };
    let mut replaced = Vec::new();
    let mut rest = document;
    while !rest.is_empty() {
        let (first, second) = (unit(rest), rest.get(6..).and_then(unit));
        let (length, kept) = match (first, second) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, true),
            (Some(0xd800..=0xdfff), _) => (6, false),
            (Some(_), _) => (6, true),
            // With what a backslash escapes.
            (None, _) => (1 + usize::from(rest.starts_with(b"\\")), true),
        };
        let (text, after) = rest.split_at(length.min(rest.len()));
        replaced.extend_from_slice(if kept { text } else { br"\ufffd" });
        rest = after;
    }
    replaced
}

// === impl TreeVisitor ===

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value as f64))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(Tree::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Object(members))
    }
}
