//! `k8s/envoy/envoy.yaml`: the `envoy.yaml` of the repository's root, changed only where a cluster needs it.

use infertally_harness::envoy::EnvoyConfig;

use crate::Result;

/// Where it is kept.
pub const FILE: &str = "k8s/envoy/envoy.yaml";

const HEAD: &str = "\
# Made from the envoy.yaml at the repository's root by `cargo run --package infertally-manifests`: change it there.
#
";

/// What differs, and for what.
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
    // The server that has the least to do: generations take long, and not equally long.
    (
        "    connect_timeout: 5s\n",
        "    lb_policy: LEAST_REQUEST\n    connect_timeout: 5s\n",
    ),
];

/// The file as it should be.
///
/// # Errors
/// If the root's file no longer holds what is to be changed.
pub fn made() -> Result<String> {
    let mut config = EnvoyConfig::shipped()?;
    for (old, new) in CHANGES {
        config = config.replace(old, new)?;
    }
    Ok(format!("{HEAD}{}", config.text()))
}
