#!/usr/bin/env bash
# Runs the filter's unit tests compiled to wasm32, in Node. Arguments are passed to the tests.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

scripts/tool.sh setup node wasm-bindgen-test-runner
node=$(scripts/tool.sh path node)
runner=$(scripts/tool.sh path wasm-bindgen-test-runner)
PATH=${node%/*}:$PATH CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$runner \
    scripts/wasm-env.sh cargo test --package infertally-filter --lib -- "$@"
