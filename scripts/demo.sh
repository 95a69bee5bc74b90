#!/usr/bin/env bash
# demo.sh [--once]: runs a real Envoy with the filter, the syncer, simulated model servers and traffic.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

envoy=$(scripts/tool.sh path envoy)
[[ -f dist/infertally.wasm ]] || die "no dist/infertally.wasm yet: run 'make wasm'"
[[ -f dist/infertally-syncer ]] || die "no dist/infertally-syncer yet: run 'make syncer'"

# A build of its own, so that a long one shows its progress and the demo's output starts clean.
say "demo: building"
cargo build --package infertally-demo
exec cargo run --quiet --package infertally-demo -- "$@" --wasm dist/infertally.wasm --syncer dist/infertally-syncer \
    --envoy "$envoy"
