//! A JSON document as `serde_json` reads it, but with the members of objects in their order and equal keys kept: what
//! the readers are held against. It is slow, keeps everything, and shares no code with the filter.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

struct TreeVisitor;

// === impl Tree ===

impl Tree {
    /// `None` if `serde_json` refuses the document. The readers take more than it does, so that says nothing.
    pub(crate) fn parse(document: &[u8]) -> Option<Self> {
        let text = document.strip_prefix("\u{feff}".as_bytes()).unwrap_or(document);
        serde_json::from_slice(&with_whole_pairs(text)).ok()
    }

    /// The values of this key, in order; none if this is no object.
    pub(crate) fn members<'a>(&'a self, key: &'a str) -> impl DoubleEndedIterator<Item = &'a Self> {
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

    /// The values that these keys lead to, one object inside the other, in the order of the document.
    pub(crate) fn at<'a>(&'a self, keys: &[&'static str]) -> Vec<&'a Self> {
        keys.iter().fold(vec![self], |found, key| {
            found.into_iter().flat_map(|value| value.members(key)).collect()
        })
    }

    /// The last of them: of equal keys the last one counts.
    pub(crate) fn last(&self, keys: &[&'static str]) -> Option<&Self> {
        self.at(keys).last().copied()
    }

    /// The last of them, if it is a text.
    pub(crate) fn last_text(&self, keys: &[&'static str]) -> Option<&str> {
        self.last(keys)?.text()
    }

    pub(crate) fn elements(&self) -> &[Self] {
        if let Self::List(elements) = self { elements } else { &[] }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

/// The document with a replacement character where half of a surrogate pair stands alone, which `serde_json` refuses.
fn with_whole_pairs(document: &[u8]) -> Vec<u8> {
    let unit = |rest: &[u8]| match rest {
        [b'\\', b'u', digits @ ..] => {
            let digits = std::str::from_utf8(digits.get(..4)?).ok()?;
            u16::from_str_radix(digits, 16).ok()
        }
        _ => None,
    };
    let mut whole = Vec::new();
    let mut rest = document;
    while !rest.is_empty() {
        let (first, second) = (unit(rest), rest.get(6..).and_then(unit));
        let (length, kept) = match (first, second) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, true),
            (Some(0xd800..=0xdfff), _) => (6, false),
            (Some(_), _) => (6, true),
            // Also what a backslash escapes.
            (None, _) => (1 + usize::from(rest.starts_with(b"\\")), true),
        };
        let (text, after) = rest.split_at(length.min(rest.len()));
        whole.extend_from_slice(if kept { text } else { br"\ufffd" });
        rest = after;
    }
    whole
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
