//! Label names, label values and the stat names that encode them. A value is from a closed set, or a sanitized model name.
//!
//! Proxy-Wasm has no labels. They are encoded in the stat name as `KEY=.=VALUE;.;`, and `stats_tags` expressions extract
//! them. Istio generates expressions of this form for `extraStatTags`, so one wasm file works in plain Envoy and in the
//! meshes.

mod model;

pub use model::ModelLabel;

/// A label name. Each needs a tag in `envoy.yaml`, in this order. A tag's expression matches anywhere in a stat name, so
/// `model_name` precedes `target_model_name`, and no other name may be a suffix of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// The model that the client requested.
    ModelName,
    /// The model that served the request.
    TargetModelName,
    /// The upper bound of a histogram bucket.
    Le,
    /// An [`ErrorCode`].
    ErrorCode,
    /// A finish reason.
    FinishReason,
    /// A [`UsageSource`], or the kind of message that failed to parse.
    Source,
    /// The filter's version.
    Version,
    /// The source commit of the build.
    Commit,
    /// The release tag or branch of the build.
    BuildRef,
}

/// Why an exchange failed. A failed exchange has exactly one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// 400, and every other 4xx without a code of its own.
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
    /// 500, and every other 5xx without a code of its own.
    ModelServerError,
    /// The upstream reset the stream before the response was complete.
    UpstreamReset,
    /// An error event inside a 2xx stream.
    StreamError,
    /// A 2xx stream ended with neither an end marker nor a finish reason.
    Truncated,
}

/// Where the token counts of a 2xx exchange come from, or why they are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageSource {
    /// The model server reported usage.
    Reported,
    /// The model server reported the duration of audio instead of tokens.
    ReportedDuration,
    /// The model server sent token IDs, which were counted.
    Counted,
    /// The response is a stream, and the request did not set `include_usage`.
    MissingNotRequested,
    /// The response has a content coding that the filter can't decode.
    MissingEncoded,
    /// The client disconnected first.
    MissingAborted,
    /// The response was truncated or reported an error.
    MissingTruncated,
    /// The response is complete and contains no readable usage.
    MissingUnparsed,
}

// === impl Label ===

impl Label {
    /// In the order of the tags.
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

    /// The name as in Prometheus.
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

/// The Envoy stat name of a series.
pub(crate) fn stat_name(labels: &[(Label, &str)], metric: &str) -> String {
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
    /// The number of codes.
    pub(crate) const COUNT: usize = Self::Truncated as usize + 1;

    /// The label value.
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

    /// The code of a status, whether from the model server or from Envoy; `None` below 400.
    pub(crate) fn from_status(status: u16) -> Option<Self> {
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
    /// The number of sources.
    pub(crate) const COUNT: usize = Self::MissingUnparsed as usize + 1;

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::ReportedDuration => "reported_duration",
            Self::Counted => "counted",
            Self::MissingNotRequested => "missing_not_requested",
            Self::MissingEncoded => "missing_encoded",
            Self::MissingAborted => "missing_aborted",
            Self::MissingTruncated => "missing_truncated",
            Self::MissingUnparsed => "missing_unparsed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn stat_name_encodes_its_labels() {
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
    fn only_model_name_is_a_suffix_of_another_label_and_comes_first() {
        for (index, label) in Label::ALL.iter().enumerate() {
            for longer in Label::ALL.iter().filter(|other| *other != label) {
                let is_suffix = longer.as_str().ends_with(label.as_str());
                assert!(
                    !is_suffix || (*label == Label::ModelName && index == 0),
                    "{label:?} {longer:?}"
                );
            }
        }
    }

    #[test]
    fn every_status_from_400_has_a_code() {
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
