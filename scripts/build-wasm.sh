#!/usr/bin/env bash
# Builds the release filter: dist/infertally.wasm.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

# Envoy loads the file once per worker, and ConfigMaps and registries distribute it: it has to stay small.
LIMIT=256000

export_build_identity
say "wasm: building the filter"
scripts/wasm-env.sh cargo build --package infertally-filter --profile wasm ||
    die "the build of the filter for wasm32 failed: the compiler's message is above"
built=$CARGO_TARGET_DIR/wasm32-unknown-unknown/wasm/infertally_filter.wasm
[[ -f $built ]] || die "cargo produced no $built: the filter must be a cdylib named infertally_filter"

# Renamed into place: a reader sees the old file or the new one, never a part.
mkdir -p dist
cp "$built" dist/.infertally.wasm
mv dist/.infertally.wasm dist/infertally.wasm

size=$(($(wc -c <dist/infertally.wasm)))
say "wasm: dist/infertally.wasm, $size bytes (limit $LIMIT)"
((size <= LIMIT)) || die "dist/infertally.wasm exceeds its limit by $((size - LIMIT)) bytes"
