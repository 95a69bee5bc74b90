//! What a request's body says: the requested model, and whether it requests the usage of a stream.

use crate::Undecidable;
use crate::api::Api;
use crate::json::Document;
use crate::tree::Tree;

/// The facts of a request's body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The model that it names.
    pub model: Option<String>,
    /// It requests the usage of a chat or completions stream.
    pub includes_usage: bool,
    /// There is a body, and it is not one JSON document.
    pub is_malformed: bool,
}

// === impl RequestFacts ===

impl RequestFacts {
    /// Reads a complete body.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn read(api: Api, body: &[u8]) -> Result<Self, Undecidable> {
        if api == Api::Audio {
            return Ok(Self {
                model: form_field(body, "model").filter(|name| !name.is_empty()),
                ..Self::default()
            });
        }
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        Ok(match Document::parse(body)? {
            Document::Complete(tree) => Self {
                model: tree.last_name(&["model"]),
                includes_usage: includes_usage(&tree),
                is_malformed: false,
            },
            Document::Incomplete | Document::Malformed => Self {
                is_malformed: true,
                ..Self::default()
            },
        })
    }
}

/// The last part of a form with this name. The first line is the delimiter.
fn form_field(form: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(form);
    let (delimiter, _) = text.split_once("\r\n")?;
    let text = format!("\r\n{text}");
    let parts: Vec<_> = text.split(&format!("\r\n{delimiter}")).collect();
    let (_, parts) = parts.split_last()?;
    let named = |part: &&str| {
        let (head, content) = part.split_once("\r\n\r\n")?;
        let is_wanted = head.contains(&format!("; name=\"{name}\""));
        is_wanted.then(|| content.to_owned())
    };
    parts.iter().filter_map(named).next_back()
}

fn includes_usage(request: &Tree) -> bool {
    let options = request.members("stream_options").next_back();
    let option = options.and_then(|options| options.members("include_usage").next_back());
    option.is_some_and(is_true)
}

/// Whether pydantic, which model servers parse requests with, takes the value for true.
fn is_true(value: &Tree) -> bool {
    match value {
        Tree::Bool(value) => *value,
        Tree::Number(number) => *number == 1.0,
        Tree::Text(text) => matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "t" | "yes" | "y" | "on" | "1"
        ),
        Tree::Null | Tree::List(_) | Tree::Object(_) => false,
    }
}
