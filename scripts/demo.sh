#!/usr/bin/env bash
# demo.sh [--once]: the filter in a real Envoy and the syncer, with simulated model servers and traffic.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

envoy=$(scripts/envoy-path.sh)
[[ -f dist/infertally.wasm ]] || die "no dist/infertally.wasm yet: run 'make wasm'"
[[ -f dist/infertally-syncer ]] || die "no dist/infertally-syncer yet: run 'make syncer'"

# Built first, so that a long build shows its progress and the demo's own output starts clean.
say "demo: building it"
cargo build --package infertally-demo
exec cargo run --quiet --package infertally-demo -- "$@" --wasm dist/infertally.wasm --syncer dist/infertally-syncer \
    --envoy "$envoy"
