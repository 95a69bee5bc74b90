#!/usr/bin/env bash
# Runs the tests that need a real Kubernetes API server (the syncer's discovery, access to its /metrics, every manifest) and
# those that need the translators of Istio and Envoy Gateway (a real Envoy runs the configuration that they generate).
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

scripts/setup.sh
scripts/build-wasm.sh
envoy=$(scripts/tool.sh path envoy)
kubectl=$(scripts/tool.sh path kubectl)
tools=$(scripts/kube-tools.sh)
{ read -r etcd && read -r apiserver && read -r istio && read -r gateway && read -r crds; } <<<"$tools"

# One cluster at a time: each needs 300 MB, and a core while it starts.
say "test-kube: tests with a real Kubernetes API server"
cargo build --package infertally-syncer
ENVOY=$envoy KUBECTL=$kubectl ETCD=$etcd KUBE_APISERVER=$apiserver ISTIO=$istio ENVOY_GATEWAY=$gateway CRDS=$crds \
    INFERTALLY_WASM=$ROOT/dist/infertally.wasm INFERTALLY_SYNCER=$CARGO_TARGET_DIR/debug/infertally-syncer \
    cargo test --package infertally-kube --features cluster -- --test-threads 1
say "make test-kube: passed, $SECONDS s"
