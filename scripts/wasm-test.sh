#!/usr/bin/env bash
# The filter's unit tests once more, compiled for wasm32 as the filter is, in Node. Arguments go to the tests.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/wasm-test-lib.sh"

scripts/setup-wasm-test.sh
node=$(find_node)
say "wasm32: Node $("$node" --version), wasm-bindgen-test-runner $WASM_BINDGEN"
PATH=${node%/*}:$PATH CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$WASM_BINDGEN_DIR/wasm-bindgen-test-runner \
    scripts/wasm-env.sh cargo test --package infertally-filter --lib -- "$@"
