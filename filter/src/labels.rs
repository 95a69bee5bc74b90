//! Label names and label values: closed sets, and model names made safe for a stat's name. And that name's form.
//!
//! Proxy-Wasm has no labels. They ride in the stat's name as `KEY=.=VALUE;.;`, and `stats_tags` takes them out again:
//! the form that Istio's `extraStatTags` generates its expressions for, so one wasm serves plain Envoy and the meshes.

use std::fmt::Write;
use std::rc::Rc;

/// Bytes kept of a model's name.
pub const MAX_MODEL_NAME: usize = 256;

/// A label's name. Each needs its tag in `envoy.yaml`, in this order: an expression matches anywhere in a stat's
/// name, so `model_name` stands before `target_model_name`, and no other name may be the end of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// What the client asked for.
    ModelName,
    /// What served it.
    TargetModelName,
    /// A bucket's upper bound.
    Le,
    /// Why an exchange failed.
    ErrorCode,
    /// Why a choice ended.
    FinishReason,
    /// Where something comes from: the tokens of an exchange, or a failure to read.
    Source,
    /// The filter's version.
    Version,
    /// The commit that the filter was built from.
    Commit,
    /// The release or branch that it was built from.
    BuildRef,
}

/// Why an exchange failed. One failed exchange has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// 400, and every 4xx that is not named here.
    BadRequest,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 429.
    ResourceExhausted,
    /// 408 and 504.
    Timeout,
    /// 502 and 503.
    ServiceUnavailable,
    /// 500, and every 5xx that is not named here.
    ModelServerError,
    /// The connection to the server broke before the answer was whole.
    UpstreamReset,
    /// An error event inside a 2xx stream.
    StreamError,
    /// A 2xx stream ended with neither its end marker nor a finish reason.
    Truncated,
}

/// How the token metrics of a 2xx exchange came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageSource {
    /// The server reported them.
    Reported,
    /// The server sent the tokens' ids, and they were counted.
    Counted,
    /// It was a stream, and the request did not ask for usage.
    MissingNotRequested,
    /// The answer was in a content coding that can't be undone.
    MissingEncoded,
    /// The client went away first.
    MissingAborted,
    /// The answer was broken off, or reported an error.
    MissingTruncated,
    /// The answer was whole, and held no usage that could be read.
    MissingUnparsed,
}

/// A model's name as a label value. Cheap to clone.
///
/// Written so that no value can be mistaken for another or for a part of the stat's name: `%`, `;`, `=`, `"`, `\`,
/// control characters, a dot at the end, and bytes that are no UTF-8 become `%XX`. A client's own `other` or `unknown` is
/// written `%6Fther`, `%75nknown`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelLabel(Rc<str>);

// === impl Label ===

impl Label {
    /// Every label, in the order of the tags.
    pub const ALL: [Self; 9] = [
        Self::ModelName,
        Self::TargetModelName,
        Self::Le,
        Self::ErrorCode,
        Self::FinishReason,
        Self::Source,
        Self::Version,
        Self::Commit,
        Self::BuildRef,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ModelName => "model_name",
            Self::TargetModelName => "target_model_name",
            Self::Le => "le",
            Self::ErrorCode => "error_code",
            Self::FinishReason => "finish_reason",
            Self::Source => "source",
            Self::Version => "version",
            Self::Commit => "commit",
            Self::BuildRef => "build_ref",
        }
    }
}

/// The name of the stat that stands for this series.
pub fn stat_name(labels: &[(Label, &str)], metric: &str) -> String {
    let mut name = String::new();
    for (label, value) in labels {
        name.push_str(label.as_str());
        name.push_str("=.=");
        name.push_str(value);
        name.push_str(";.;");
    }
    name.push_str(metric);
    name
}

// === impl ErrorCode ===

impl ErrorCode {
    /// Its value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "BadRequest",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::ResourceExhausted => "ResourceExhausted",
            Self::Timeout => "Timeout",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::ModelServerError => "ModelServerError",
            Self::UpstreamReset => "UpstreamReset",
            Self::StreamError => "StreamError",
            Self::Truncated => "Truncated",
        }
    }

    /// The code of an answer with this status, whoever made it; `None` below 400.
    pub fn from_status(status: u16) -> Option<Self> {
        match status {
            ..400 => None,
            401 => Some(Self::Unauthorized),
            403 => Some(Self::Forbidden),
            404 => Some(Self::NotFound),
            408 | 504 => Some(Self::Timeout),
            429 => Some(Self::ResourceExhausted),
            400..500 => Some(Self::BadRequest),
            502 | 503 => Some(Self::ServiceUnavailable),
            500.. => Some(Self::ModelServerError),
        }
    }
}

// === impl UsageSource ===

impl UsageSource {
    /// Its value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Counted => "counted",
            Self::MissingNotRequested => "missing_not_requested",
            Self::MissingEncoded => "missing_encoded",
            Self::MissingAborted => "missing_aborted",
            Self::MissingTruncated => "missing_truncated",
            Self::MissingUnparsed => "missing_unparsed",
        }
    }
}

// === impl ModelLabel ===

impl ModelLabel {
    const OTHER: &'static str = "other";
    const UNKNOWN: &'static str = "unknown";

    /// Stands for every name that is not admitted.
    pub fn other() -> Self {
        Self(Rc::from(Self::OTHER))
    }

    /// Stands for a model that neither the request nor the answer names.
    pub fn unknown() -> Self {
        Self(Rc::from(Self::UNKNOWN))
    }

    /// The label of a name as it came over the wire; its first [`MAX_MODEL_NAME`] bytes count.
    pub fn new(name: &[u8]) -> Self {
        let mut value = String::with_capacity(name.len());
        for chunk in kept(name).utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '%' | ';' | '=' | '"' | '\\' | '\0'..='\x1f' | '\x7f' => escape(&mut value, character as u8),
                    _ => value.push(character),
                }
            }
            for byte in chunk.invalid() {
                escape(&mut value, *byte);
            }
        }
        // Envoy takes dots off the end of a tag's value.
        if value.ends_with('.') {
            value.pop();
            escape(&mut value, b'.');
        }
        if value == Self::OTHER || value == Self::UNKNOWN {
            let first = value.remove(0);
            let rest = std::mem::take(&mut value);
            escape(&mut value, first as u8);
            value.push_str(&rest);
        }
        Self(value.into())
    }

    /// A label that this filter itself has written.
    pub fn from_encoded(value: &str) -> Self {
        Self(value.into())
    }

    /// The value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ModelLabel {
    fn default() -> Self {
        Self::unknown()
    }
}

fn escape(value: &mut String, byte: u8) {
    // Writing to a String can't fail.
    _ = write!(value, "%{byte:02X}");
}

/// The first bytes of a name; never half a character at the cut.
fn kept(name: &[u8]) -> &[u8] {
    let continues = |at: &usize| name.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let cut = (MAX_MODEL_NAME - 3..=MAX_MODEL_NAME)
        .rev()
        .find(|at| !continues(at))
        .unwrap_or(MAX_MODEL_NAME);
    name.get(..cut).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn label(name: impl AsRef<[u8]>) -> String {
        ModelLabel::new(name.as_ref()).as_str().to_owned()
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in [
            "tiny",
            "meta-llama/Llama-3.1-8B-Instruct",
            "a b:c@d+e,f|g{h}'",
            "模型-ü",
            "kv-cache.q4.gguf",
            "other2",
        ] {
            assert_eq!(label(name), name);
        }
    }

    #[test]
    fn what_could_end_a_label_is_written_in_hexadecimal() {
        assert_eq!(label("a;.;le=.=1"), "a%3B.%3Ble%3D.%3D1");
        assert_eq!(label("a%3B"), "a%253B");
        assert_eq!(label("\"\\\n\r\t\0\x7f"), "%22%5C%0A%0D%09%00%7F");
        assert_eq!(label(b"a\xff\xc3("), "a%FF%C3(");
        assert_eq!(label("a..b.."), "a..b.%2E");
    }

    #[test]
    fn the_reserved_values_are_never_a_clients_own() {
        assert_eq!(label("other"), "%6Fther");
        assert_eq!(label("unknown"), "%75nknown");
        assert_eq!(ModelLabel::other().as_str(), "other");
        assert_eq!(ModelLabel::unknown().as_str(), "unknown");
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(label("x".repeat(MAX_MODEL_NAME)).len(), MAX_MODEL_NAME);
        assert_eq!(label("x".repeat(5000)).len(), MAX_MODEL_NAME);
        for shift in 0..4 {
            let name = "x".repeat(shift) + &"\u{1f600}".repeat(100);
            let cut = label(&name);
            assert!(name.starts_with(&cut) && cut.len() > MAX_MODEL_NAME - 4, "{cut}");
        }
        // Bytes that are no UTF-8 are cut, too, and all written out.
        assert_eq!(label([0x80; 300]), "%80".repeat(MAX_MODEL_NAME));
    }

    #[test]
    fn a_stat_name_has_the_form_that_the_tags_take_apart() {
        assert_eq!(
            stat_name(
                &[
                    (Label::ModelName, "m"),
                    (Label::TargetModelName, "t"),
                    (Label::Le, "0.5")
                ],
                "x_bucket"
            ),
            "model_name=.=m;.;target_model_name=.=t;.;le=.=0.5;.;x_bucket"
        );
    }

    #[test]
    fn no_label_is_the_end_of_another_but_model_name_which_stands_first() {
        for (index, label) in Label::ALL.iter().enumerate() {
            for longer in Label::ALL.iter().filter(|other| *other != label) {
                let ends = longer.as_str().ends_with(label.as_str());
                assert!(
                    !ends || (*label == Label::ModelName && index == 0),
                    "{label:?} {longer:?}"
                );
            }
        }
    }

    #[test]
    fn every_bad_status_has_its_code() {
        let codes: Vec<_> = [
            200, 302, 399, 400, 401, 403, 404, 405, 408, 413, 429, 499, 500, 501, 502, 503, 504, 505, 599,
        ]
        .iter()
        .map(|status| ErrorCode::from_status(*status).map_or("", ErrorCode::as_str))
        .collect();
        assert_eq!(
            codes.join(" "),
            "   BadRequest Unauthorized Forbidden NotFound BadRequest Timeout BadRequest ResourceExhausted BadRequest \
             ModelServerError ModelServerError ServiceUnavailable ServiceUnavailable Timeout ModelServerError \
             ModelServerError"
        );
    }
}
