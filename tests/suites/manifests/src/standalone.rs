//! Generates `k8s/envoy/envoy.yaml`: the `envoy.yaml` of the repository's root with the changes that a cluster needs.

use infertally_harness::envoy::EnvoyConfig;

use crate::Result;

/// Its path.
pub const FILE: &str = "k8s/envoy/envoy.yaml";

const HEAD: &str = "\
# Generated from the envoy.yaml at the repository's root by `cargo run --package infertally-manifests`: edit it there.
#
";

/// Old and new text.
const CHANGES: [(&str, &str); 5] = [
    (
        "# Envoy with infertally, ready to run: `make wasm`, then `envoy -c envoy.yaml` in this folder.\n",
        "# Envoy with infertally, in Kubernetes.\n",
    ),
    (
        "#   upstream  127.0.0.1:8000\n",
        "#   upstream  the pods of the headless Service infertally-envoy-servers, port 8000\n",
    ),
    // Mounted from a ConfigMap.
    ("dist/infertally.wasm", "/etc/infertally/infertally.wasm"),
    (
        "address: 127.0.0.1, port_value: 8000",
        "address: infertally-envoy-servers, port_value: 8000",
    ),
    // Generations take long, and not equally long: the server with the fewest requests is next.
    (
        "    connect_timeout: 5s\n",
        "    lb_policy: LEAST_REQUEST\n    connect_timeout: 5s\n",
    ),
];

/// The content of the file.
///
/// # Errors
/// The root's file does not hold a text that is to be replaced.
pub fn generated() -> Result<String> {
    let mut config = EnvoyConfig::shipped()?;
    for (old, new) in CHANGES {
        config = config.replace(old, new)?;
    }
    Ok(format!("{HEAD}{}", config.text()))
}
