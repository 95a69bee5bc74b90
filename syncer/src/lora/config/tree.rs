//! YAML as a tree whose nodes know their places. What a key means is not known here.
//!
//! Built from the events of `granit-parser`, which is what is below `serde-saphyr`: serde stops at the first mistake, and
//! we tell all. Invariant: the tree takes memory in proportion to the text. What an alias stands for is shared, not
//! copied, and the depth is bounded.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::error::{ConfigError, Position, What};

/// The schema is five deep. Nodes are dropped by recursion.
const MAX_DEPTH: usize = 32;

/// A value and where it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub place: Position,
    pub value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool,
    /// As it is written.
    Number(Arc<str>),
    Text(Arc<str>),
    List(Vec<Arc<Node>>),
    Map(Vec<(Arc<Node>, Arc<Node>)>),
    /// Of a type of its own.
    Tagged,
}

/// A list or mapping that is not yet at its end.
struct Open {
    place: Position,
    anchor: usize,
    is_map: bool,
    tagged: bool,
    /// Of a mapping keys and values in turn.
    children: Vec<Arc<Node>>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Arc<Node>>,
    root: Option<Arc<Node>>,
    documents: usize,
}

/// Reads the one document of a text.
pub(super) fn read(text: &str) -> Result<Arc<Node>, ConfigError> {
    let options = granit_parser::options! {
        block_nesting_limit: MAX_DEPTH,
        flow_nesting_limit: MAX_DEPTH,
        emit_comments: false,
    };
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(syntax)?;
        builder.event(event, place(&span))?;
    }
    builder.root.ok_or_else(|| whole(Position::START, What::Empty))
}

// === impl Builder ===

impl Builder {
    fn event(&mut self, event: Event<'_>, place: Position) -> Result<(), ConfigError> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(whole(place, What::SecondDocument));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref());
                self.add(anchor, Node { place, value });
            }
            Event::SequenceStart(_, anchor, tag) => self.begin(place, anchor, false, tag.as_deref()),
            Event::MappingStart(_, anchor, tag) => self.begin(place, anchor, true, tag.as_deref()),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => self.put(Arc::clone(node)),
                None => return Err(whole(place, What::Endless)),
            },
            // The rest are the stream's ends, and what the options leave out.
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, place: Position, anchor: usize, is_map: bool, tag: Option<&Tag>) {
        let own = if is_map { "map" } else { "seq" };
        self.open.push(Open {
            place,
            anchor,
            is_map,
            tagged: tag.is_some_and(|tag| !tag.is_yaml_core_schema_tag(own)),
            children: Vec::new(),
        });
    }

    fn end(&mut self) {
        let Some(open) = self.open.pop() else { return };
        let Open {
            place,
            anchor,
            is_map,
            tagged,
            children,
        } = open;
        let value = match (tagged, is_map) {
            (true, _) => Value::Tagged,
            (false, false) => Value::List(children),
            (false, true) => Value::Map(pairs(children)),
        };
        self.add(anchor, Node { place, value });
    }

    fn add(&mut self, anchor: usize, node: Node) {
        let node = Arc::new(node);
        // 0 is none.
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        self.put(node);
    }

    fn put(&mut self, node: Arc<Node>) {
        match self.open.last_mut() {
            Some(open) => open.children.push(node),
            None => self.root = Some(node),
        }
    }
}

// === impl Value ===

impl Value {
    /// With its article, for a sentence.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
            Self::Tagged => "a value with a tag",
        }
    }
}

fn pairs(children: Vec<Arc<Node>>) -> Vec<(Arc<Node>, Arc<Node>)> {
    let mut children = children.into_iter();
    std::iter::from_fn(|| Some((children.next()?, children.next()?))).collect()
}

/// By YAML's core schema: what is in quotes is text.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    match tag {
        Some(tag) if tag.is_yaml_core_schema_tag("str") => return Value::Text(Arc::from(text)),
        Some(_) => return Value::Tagged,
        None if style != ScalarStyle::Plain => return Value::Text(Arc::from(text)),
        None => {}
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Value::Bool,
        _ if is_number(text) => Value::Number(Arc::from(text)),
        _ => Value::Text(Arc::from(text)),
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.trim_start_matches(['-', '+']);
    let based = |prefix, radix| {
        let digits: Option<&str> = text.strip_prefix(prefix);
        digits.is_some_and(|digits| !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix)))
    };
    let special = matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN");
    // Rust takes the words "inf" and "nan", which are text in YAML.
    let decimal =
        unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') && text.parse::<f64>().is_ok();
    special || decimal || based("0x", 16) || based("0o", 8)
}

fn place(span: &Span) -> Position {
    Position {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

fn syntax(error: ScanError) -> ConfigError {
    let place = Position {
        line: error.marker().line(),
        column: error.marker().col() + 1,
    };
    whole(place, What::Syntax(error.info()))
}

fn whole(place: Position, what: What) -> ConfigError {
    ConfigError {
        place,
        path: String::new(),
        what,
    }
}
