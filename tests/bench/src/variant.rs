//! The Envoy configurations that are compared, all derived from the shipped `envoy.yaml`.

use std::borrow::Cow;
use std::path::PathBuf;

use infertally_harness::Result;
use infertally_harness::envoy::EnvoyConfig;

/// The start of an HTTP filter in `envoy.yaml`.
const NEXT_FILTER: &str = "\n          - name: ";
/// Envoy's own filters for this task: they copy model and usage from JSON and from events into dynamic metadata, for example
/// for an access log. They create no metrics.
const CPP_FILTERS: &str = "
          - name: envoy.filters.http.json_to_metadata
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.json_to_metadata.v3.JsonToMetadata
              request_rules:
                rules:
                - {selectors: [{key: model}], on_present: {metadata_namespace: llm, key: requested, type: STRING}}
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

/// An `ext_proc` filter that sends everything to [`crate::ext_proc`] and waits for its responses.
const EXT_PROC_FILTER: &str = "
          - name: envoy.filters.http.ext_proc
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
              grpc_service: {envoy_grpc: {cluster_name: ext_proc}}
              message_timeout: 10s
              processing_mode:
                request_header_mode: SEND
                request_body_mode: FULL_DUPLEX_STREAMED
                request_trailer_mode: SEND
                response_header_mode: SEND
                response_body_mode: FULL_DUPLEX_STREAMED
                response_trailer_mode: SEND";
const FIRST_CLUSTER: &str = "  clusters:\n";
/// The server of [`EXT_PROC_FILTER`].
const EXT_PROC_CLUSTER: &str = "  - name: ext_proc
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment:
      cluster_name: ext_proc
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: <port>}}}
";

/// The HTTP filters of an Envoy before the router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variant {
    /// None.
    Plain,
    /// A Wasm filter that does nothing.
    Noop(PathBuf),
    /// The shipped configuration.
    Infertally,
    /// The shipped configuration with another build of the filter.
    OtherBuild(PathBuf),
    /// Envoy's `json_to_metadata` and `sse_to_metadata`.
    Cpp,
    /// `ext_proc`, with the program that serves it.
    ExtProc(PathBuf),
}

// === impl Variant ===

impl Variant {
    /// The title of its column.
    pub fn title(&self) -> Cow<'static, str> {
        match self {
            Self::Plain => "no filter".into(),
            Self::Noop(_) => "no-op Wasm".into(),
            Self::Infertally => "infertally".into(),
            // Several builds can be compared at once: each has the name of its file.
            Self::OtherBuild(file) => file
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
                .into(),
            Self::Cpp => "Envoy's C++".into(),
            Self::ExtProc(_) => "ext_proc".into(),
        }
    }

    /// Replaces the filter `wasm` in the shipped configuration. `server` is the port of the `ext_proc` server.
    pub(crate) fn configure(&self, config: EnvoyConfig, wasm: &str, server: Option<u16>) -> Result<EnvoyConfig> {
        match self {
            Self::Plain => replace_filter(config, ""),
            Self::Noop(other) | Self::OtherBuild(other) => config.replace(wasm, &other.display().to_string()),
            Self::Infertally => Ok(config),
            Self::Cpp => replace_filter(config, CPP_FILTERS),
            Self::ExtProc(_) => {
                let port = server.ok_or("the ext_proc server is missing")?;
                let cluster = EXT_PROC_CLUSTER.replace("<port>", &port.to_string());
                replace_filter(config, EXT_PROC_FILTER)?.replace(FIRST_CLUSTER, &format!("{FIRST_CLUSTER}{cluster}"))
            }
        }
    }
}

fn replace_filter(config: EnvoyConfig, filters: &str) -> Result<EnvoyConfig> {
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
        let config = variant.configure(EnvoyConfig::shipped().unwrap(), "dist/infertally.wasm", None);
        config.unwrap().text().to_owned()
    }

    #[test]
    fn plain_removes_the_whole_filter_and_nothing_else() {
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
    fn the_other_filters_replace_it_before_the_router() {
        let order = |text: &str, names: &[&str]| {
            let positions: Vec<_> = names.iter().map(|name| text.find(name).unwrap()).collect();
            assert!(positions.is_sorted(), "{text}");
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
        assert_eq!(Variant::OtherBuild("builds/before.wasm".into()).title(), "before");
        let noop = changed(&Variant::Noop("noop.wasm".into()));
        assert!(noop.contains("filename: noop.wasm") && !noop.contains("dist/infertally.wasm"));
    }
}
