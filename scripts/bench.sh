#!/usr/bin/env bash
# bench.sh [--quick | --rounds N] [--only WORKLOAD]... [--other WASM]...: measures what the filter costs, compared with Envoy
# without it, with Envoy's own C++ filters, with an ext_proc server and with other builds of the filter; and prints the goals.
# bench.sh growth [OPTION...]: measures how it grows, and draws docs/growth.svg.
# bench.sh parsers [--rounds N]: measures the syncer's parser beside those of Prometheus, which need Go.
# bench.sh syncer-scale | syncer-soak [OPTION...]: measures or soaks the syncer instead.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

[[ $(uname -s) == Linux ]] || die "the bench reads /proc: it runs on Linux only"

if [[ ${1:-} == syncer-* ]]; then
    [[ -f dist/infertally-syncer ]] || die "no dist/infertally-syncer yet: run 'make syncer'"
    say "bench: building $1"
    cargo build --quiet --release --package infertally-bench --bin "$1"
    exec "$CARGO_TARGET_DIR/release/$1" --syncer dist/infertally-syncer "${@:2}"
fi

if [[ ${1:-} == parsers ]]; then
    command -v go >/dev/null || die "Go is missing: it builds the parsers of Prometheus (https://go.dev/doc/install)"
    say "bench: building the parsers"
    (cd tests/bench/go-parsers && GOWORK=off CGO_ENABLED=0 go build -trimpath -o "$CARGO_TARGET_DIR/go-parsers" .)
    exec cargo bench --quiet --package infertally-syncer --bench parsers -- --go "$CARGO_TARGET_DIR/go-parsers" "${@:2}"
fi

envoy=$(scripts/tool.sh path envoy)
[[ -f dist/infertally.wasm ]] || die "no dist/infertally.wasm yet: run 'make wasm'"
# The first version with sse_to_metadata, one of the C++ filters.
version_at_least "$(scripts/tool.sh version envoy)" 1.40 || die "the bench compares with filters of Envoy 1.40: set ENVOY"

say "bench: building"
cargo build --quiet --release --package infertally-bench
if [[ ${1:-} == growth ]]; then
    say "bench: measuring for about ten minutes; other work on this machine adds noise"
    exec "$CARGO_TARGET_DIR/release/growth" --envoy "$envoy" --wasm dist/infertally.wasm --svg docs/growth.svg "${@:2}"
fi
scripts/wasm-env.sh cargo build --quiet --package infertally-noop --profile wasm
say "bench: measuring for about three minutes; other work on this machine adds noise"
exec "$CARGO_TARGET_DIR/release/infertally-bench" --envoy "$envoy" --wasm dist/infertally.wasm \
    --noop "$CARGO_TARGET_DIR/wasm32-unknown-unknown/wasm/infertally_noop.wasm" \
    --ext-proc "$CARGO_TARGET_DIR/release/ext-proc" "$@"
