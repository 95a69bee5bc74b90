#!/usr/bin/env bash
# The tests that want a real Kubernetes API server: the syncer's discovery, who may read its /metrics, and every manifest.
# And those that want Istio's and Envoy Gateway's own translators: what they make of the manifests runs in a real Envoy.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

scripts/setup.sh
scripts/build-wasm.sh
envoy=$(scripts/envoy-path.sh)
kubectl=$(scripts/kubectl-path.sh)
tools=$(scripts/kube-tools.sh)
{ read -r etcd && read -r apiserver && read -r istio && read -r gateway && read -r crds; } <<<"$tools"

# One cluster at a time: each wants 300 MB and a core for its first seconds.
say "tests on a real Kubernetes API server"
cargo build --package infertally-syncer
ENVOY=$envoy KUBECTL=$kubectl ETCD=$etcd KUBE_APISERVER=$apiserver ISTIO=$istio ENVOY_GATEWAY=$gateway CRDS=$crds \
    INFERTALLY_WASM=$ROOT/dist/infertally.wasm INFERTALLY_SYNCER=$CARGO_TARGET_DIR/debug/infertally-syncer \
    cargo test --package infertally-kube --features cluster -- --test-threads 1
say "make test-kube: passed, $SECONDS s"
