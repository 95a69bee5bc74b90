//! The Envoys that are compared: one configuration each, all made of the shipped `envoy.yaml`.

use std::path::PathBuf;

use infertally_harness::Result;
use infertally_harness::envoy::EnvoyConfig;

/// Where the next HTTP filter begins in `envoy.yaml`.
const NEXT_FILTER: &str = "\n          - name: ";
/// What Envoy itself has for this: it takes model and usage out of JSON and of events, and puts them into the dynamic
/// metadata, for an access log, say. Metrics it does not make of them.
const CPP_FILTERS: &str = "
          - name: envoy.filters.http.json_to_metadata
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.json_to_metadata.v3.JsonToMetadata
              request_rules:
                rules:
                - {selectors: [{key: model}], on_present: {metadata_namespace: llm, key: asked, type: STRING}}
              response_rules:
                rules:
                - {selectors: [{key: model}], on_present: {metadata_namespace: llm, key: model, type: STRING}}
                - selectors: [{key: usage}, {key: prompt_tokens}]
                  on_present: {metadata_namespace: llm, key: input, type: NUMBER}
                - selectors: [{key: usage}, {key: completion_tokens}]
                  on_present: {metadata_namespace: llm, key: output, type: NUMBER}
          - name: envoy.filters.http.sse_to_metadata
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.sse_to_metadata.v3.SseToMetadata
              response_rules:
                content_parser:
                  name: envoy.content_parsers.json
                  typed_config:
                    \"@type\": type.googleapis.com/envoy.extensions.content_parsers.json.v3.JsonContentParser
                    rules:
                    - rule: {selectors: [{key: model}], on_present: {metadata_namespace: llm, key: model, type: STRING}}
                      stop_processing_after_matches: 1
                    - rule:
                        selectors: [{key: usage}, {key: prompt_tokens}]
                        on_present: {metadata_namespace: llm, key: input, type: NUMBER}
                    - rule:
                        selectors: [{key: usage}, {key: completion_tokens}]
                        on_present: {metadata_namespace: llm, key: output, type: NUMBER}";

/// What stands in an Envoy between client and router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Nothing.
    Plain,
    /// A Wasm filter that does nothing.
    Noop(PathBuf),
    /// The shipped configuration.
    Infertally,
    /// The same with another build of the filter.
    OtherBuild(PathBuf),
    /// Envoy's `json_to_metadata` and `sse_to_metadata`.
    Cpp,
}

// === impl Variant ===

impl Variant {
    /// For a person.
    pub fn title(&self) -> &'static str {
        match self {
            Self::Plain => "no filter",
            Self::Noop(_) => "no-op Wasm",
            Self::Infertally => "infertally",
            Self::OtherBuild(_) => "its other build",
            Self::Cpp => "Envoy's C++",
        }
    }

    /// The shipped configuration with this in the place of the filter.
    pub(crate) fn configure(&self, config: EnvoyConfig, wasm: &str) -> Result<EnvoyConfig> {
        match self {
            Self::Plain => put_in_place(config, ""),
            Self::Noop(other) | Self::OtherBuild(other) => config.replace(wasm, &other.display().to_string()),
            Self::Infertally => Ok(config),
            Self::Cpp => put_in_place(config, CPP_FILTERS),
        }
    }
}

fn put_in_place(config: EnvoyConfig, filters: &str) -> Result<EnvoyConfig> {
    let text = config.text();
    let block = text.find(&format!("{NEXT_FILTER}infertally\n")).and_then(|start| {
        let rest = text.get(start..)?;
        let end = rest.get(1..)?.find(NEXT_FILTER)? + 1;
        rest.get(..end)
    });
    let block = block.ok_or("envoy.yaml has no filter named infertally")?.to_owned();
    config.replace(&block, filters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(variant: &Variant) -> String {
        let config = variant.configure(EnvoyConfig::shipped().unwrap(), "dist/infertally.wasm");
        config.unwrap().text().to_owned()
    }

    #[test]
    fn the_filter_is_taken_out_whole_and_nothing_else() {
        let shipped = EnvoyConfig::shipped().unwrap().text().to_owned();
        let plain = changed(&Variant::Plain);
        assert!(
            !plain.contains("filters.http.wasm") && !plain.contains("maxModels\":"),
            "{plain}"
        );
        let removed: Vec<_> = shipped.lines().filter(|line| !plain.contains(line)).collect();
        assert!(
            removed.iter().any(|line| line.contains("- name: infertally")),
            "{removed:?}"
        );
        assert!(!removed.iter().any(|line| line.contains("router")), "{removed:?}");
        assert_eq!(
            shipped.matches("envoy.filters.http.router").count(),
            plain.matches("envoy.filters.http.router").count()
        );
    }

    #[test]
    fn the_other_filters_stand_where_it_stood() {
        let order = |text: &str, names: &[&str]| {
            let places: Vec<_> = names.iter().map(|name| text.find(name).unwrap()).collect();
            assert!(places.is_sorted(), "{text}");
        };
        order(
            &changed(&Variant::Cpp),
            &[
                "http_filters:",
                "json_to_metadata",
                "sse_to_metadata",
                "envoy.filters.http.router",
            ],
        );
        let noop = changed(&Variant::Noop("noop.wasm".into()));
        assert!(noop.contains("filename: noop.wasm") && !noop.contains("dist/infertally.wasm"));
    }
}
