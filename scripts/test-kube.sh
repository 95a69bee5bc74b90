#!/usr/bin/env bash
# The tests that want a real Kubernetes API server: the syncer's discovery, and who may read its /metrics.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

tools=$(scripts/kube-tools.sh)
{ read -r etcd && read -r apiserver; } <<<"$tools"

# One cluster at a time: each wants 300 MB and a core for its first seconds.
say "tests on a real Kubernetes API server"
cargo build --package infertally-syncer
ETCD=$etcd KUBE_APISERVER=$apiserver INFERTALLY_SYNCER=$CARGO_TARGET_DIR/debug/infertally-syncer \
    cargo test --package infertally-kube --features cluster -- --test-threads 1
say "make test-kube: passed, $SECONDS s"
