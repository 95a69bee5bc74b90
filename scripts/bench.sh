#!/usr/bin/env bash
# bench.sh [--quick | --rounds N] [--only WORKLOAD] [--other WASM]: what the filter costs, beside Envoy without it and
# beside Envoy's own C++ filters; and beside another build of it.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/envoy-lib.sh"

[[ $(uname -s) == Linux ]] || die "the bench reads Linux's /proc: it runs on Linux only"
envoy=$(scripts/envoy-path.sh)
[[ -f dist/infertally.wasm ]] || die "no dist/infertally.wasm yet: run 'make wasm'"
# sse_to_metadata, which it compares with.
version_at_least "$(envoy_version "$envoy")" 1.40 || die "the bench compares with filters of Envoy 1.40: set ENVOY"

say "bench: building it"
cargo build --quiet --release --package infertally-bench
scripts/wasm-env.sh cargo build --quiet --package infertally-noop --profile wasm
say "bench: measuring, two minutes or so; the less else runs here meanwhile, the less noise"
exec "$CARGO_TARGET_DIR/release/infertally-bench" --envoy "$envoy" --wasm dist/infertally.wasm \
    --noop "$CARGO_TARGET_DIR/wasm32-unknown-unknown/wasm/infertally_noop.wasm" "$@"
