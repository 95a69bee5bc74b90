#!/usr/bin/env bash
# Formatting, vocabulary, clippy for the host and for wasm32, and the dependencies' licences, sources and advisories.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

for component in fmt clippy; do
    cargo "$component" --version >/dev/null 2>&1 ||
        die "cargo $component is missing: run 'rustup component add rustfmt clippy'"
done

say "lint: formatting"
cargo fmt --all --check -- --color "$([[ -n ${CI:-} ]] && say never || say auto)" || die "the code is not formatted: run 'make fmt'"

scripts/lint-words.sh

say "lint: clippy, host"
# With the feature that compiles the tests of `make test-kube`.
cargo clippy --quiet --workspace --all-targets --features infertally-kube/cluster -- -D warnings

say "lint: clippy, wasm32"
scripts/wasm-env.sh cargo clippy --quiet --package infertally-filter -- -D warnings

say "lint: dependencies' licences, bans and sources"
deny=$(scripts/tool.sh path cargo-deny)
"$deny" check --hide-inclusion-graph licenses bans sources

# Not every machine can reach the host of the advisory database; the other checks still count there.
if GIT_TERMINAL_PROMPT=0 "$deny" fetch db >/dev/null 2>&1; then
    say "lint: security advisories"
    "$deny" check --hide-inclusion-graph --disable-fetch advisories
else
    say "lint: security advisories NOT checked: this machine cannot fetch their database"
fi
