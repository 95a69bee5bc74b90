//! A YAML document as a tree of nodes with positions, knowing nothing of the schema.
//!
//! Built from the events of `granit-parser`, the parser below `serde-saphyr`: serde stops at the first error, and this
//! role reports all of them. Invariant: memory is proportional to the text. Aliased nodes are shared, not copied, and
//! depth is bounded.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::error::{ConfigError, ConfigErrorKind, Position};

/// The schema has five levels. Bounded because dropping a node recurses.
const MAX_DEPTH: usize = 32;

/// A value and the position of its first character.
#[derive(Debug)]
pub(super) struct Node {
    pub position: Position,
    pub value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool,
    /// As written in the file.
    Number(Arc<str>),
    String(Arc<str>),
    List(Vec<Arc<Node>>),
    Map(Vec<(Arc<Node>, Arc<Node>)>),
    /// With a tag outside YAML's core schema.
    Tagged,
}

/// A list or mapping whose end has not been parsed yet.
struct Open {
    position: Position,
    anchor: usize,
    is_map: bool,
    tagged: bool,
    /// For a mapping, keys and values alternate.
    children: Vec<Arc<Node>>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Arc<Node>>,
    root: Option<Arc<Node>>,
    documents: usize,
}

/// Parses a text of one document.
pub(super) fn parse(text: &str) -> Result<Arc<Node>, ConfigError> {
    let options = granit_parser::options! {
        block_nesting_limit: MAX_DEPTH,
        flow_nesting_limit: MAX_DEPTH,
        emit_comments: false,
    };
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(syntax)?;
        builder.event(event, position(&span))?;
    }
    builder
        .root
        .ok_or_else(|| error(Position::START, ConfigErrorKind::EmptyFile))
}

// === impl Builder ===

impl Builder {
    fn event(&mut self, event: Event<'_>, position: Position) -> Result<(), ConfigError> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(error(position, ConfigErrorKind::SecondDocument));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref());
                self.add(anchor, Node { position, value });
            }
            Event::SequenceStart(_, anchor, tag) => self.begin(position, anchor, false, tag.as_deref()),
            Event::MappingStart(_, anchor, tag) => self.begin(position, anchor, true, tag.as_deref()),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => self.push(Arc::clone(node)),
                None => return Err(error(position, ConfigErrorKind::RecursiveAlias)),
            },
            // Start and end of the stream, and events that the options disable.
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, position: Position, anchor: usize, is_map: bool, tag: Option<&Tag>) {
        let core_tag = if is_map { "map" } else { "seq" };
        self.open.push(Open {
            position,
            anchor,
            is_map,
            tagged: tag.is_some_and(|tag| !tag.is_yaml_core_schema_tag(core_tag)),
            children: Vec::new(),
        });
    }

    fn end(&mut self) {
        let Some(open) = self.open.pop() else { return };
        let Open {
            position,
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
        self.add(anchor, Node { position, value });
    }

    fn add(&mut self, anchor: usize, node: Node) {
        let node = Arc::new(node);
        // 0 means no anchor.
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        self.push(node);
    }

    fn push(&mut self, node: Arc<Node>) {
        match self.open.last_mut() {
            Some(open) => open.children.push(node),
            None => self.root = Some(node),
        }
    }
}

// === impl Value ===

impl Value {
    /// The type with its article, for an error message.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
            Self::Tagged => "a tagged value",
        }
    }
}

fn pairs(children: Vec<Arc<Node>>) -> Vec<(Arc<Node>, Arc<Node>)> {
    let mut children = children.into_iter();
    std::iter::from_fn(|| Some((children.next()?, children.next()?))).collect()
}

/// Resolves a scalar by YAML's core schema. Quoted scalars are strings.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    match tag {
        Some(tag) if tag.is_yaml_core_schema_tag("str") => return Value::String(Arc::from(text)),
        Some(_) => return Value::Tagged,
        None if style != ScalarStyle::Plain => return Value::String(Arc::from(text)),
        None => {}
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Value::Bool,
        _ if is_number(text) => Value::Number(Arc::from(text)),
        _ => Value::String(Arc::from(text)),
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.trim_start_matches(['-', '+']);
    let based = |prefix, radix| {
        let digits: Option<&str> = text.strip_prefix(prefix);
        digits.is_some_and(|digits| !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix)))
    };
    let special = matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN");
    // Rust also parses "inf" and "nan", which are strings in YAML.
    let decimal =
        unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') && text.parse::<f64>().is_ok();
    special || decimal || based("0x", 16) || based("0o", 8)
}

fn position(span: &Span) -> Position {
    Position {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

fn syntax(scan_error: ScanError) -> ConfigError {
    let position = Position {
        line: scan_error.marker().line(),
        column: scan_error.marker().col() + 1,
    };
    error(position, ConfigErrorKind::Syntax(scan_error.info()))
}

/// An error of the whole document.
pub(super) fn error(position: Position, kind: ConfigErrorKind) -> ConfigError {
    ConfigError {
        position,
        path: String::new(),
        kind,
    }
}
