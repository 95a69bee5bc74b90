#!/usr/bin/env bash
# Builds the filter as it ships: dist/infertally.wasm.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

# Envoy loads the file once per worker and a Kubernetes ConfigMap or a registry carries it: it has to stay small.
LIMIT=307200

export_build_identity
say "wasm: building the filter"
scripts/wasm-env.sh cargo build --package infertally-filter --profile wasm ||
    die "the filter does not build for wasm32: the compiler's message is above"
built=$CARGO_TARGET_DIR/wasm32-unknown-unknown/wasm/infertally_filter.wasm
[[ -f $built ]] || die "cargo made no $built: the filter's crate must be a cdylib named infertally_filter"

# Whoever reads dist/infertally.wasm sees the old file or the new one, whole.
mkdir -p dist
cp "$built" dist/.infertally.wasm
mv dist/.infertally.wasm dist/infertally.wasm

size=$(($(wc -c <dist/infertally.wasm)))
say "wasm: dist/infertally.wasm, $size bytes (limit $LIMIT)"
((size <= LIMIT)) || die "dist/infertally.wasm is $((size - LIMIT)) bytes too large"
