#!/usr/bin/env bash
# Formatting, clippy for the host and for wasm32, and what the dependencies are.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

for component in fmt clippy; do
    cargo "$component" --version >/dev/null 2>&1 ||
        die "cargo $component is missing: run 'rustup component add rustfmt clippy'"
done

say "lint: formatting"
cargo fmt --all --check -- --color "$([[ -n ${CI:-} ]] && say never || say auto)" || die "the code is not formatted: run 'make fmt'"

say "lint: clippy, host"
# With the tests that `make test` does not run.
cargo clippy --quiet --workspace --all-targets --features infertally-kube/cluster -- -D warnings

say "lint: clippy, wasm32"
scripts/wasm-env.sh cargo clippy --quiet --package infertally-filter -- -D warnings

say "lint: dependencies' licences, bans and sources"
deny=("$TOOLS"/cargo-deny-*/cargo-deny)
[[ -x ${deny[0]} ]] || die "no cargo-deny yet: run 'make setup'"
"${deny[0]}" check --hide-inclusion-graph licenses bans sources

# The advisory database lives on a host that not every machine reaches; the rest of the checks are worth having anyway.
if GIT_TERMINAL_PROMPT=0 "${deny[0]}" fetch db >/dev/null 2>&1; then
    say "lint: security advisories"
    "${deny[0]}" check --hide-inclusion-graph --disable-fetch advisories
else
    say "lint: security advisories NOT checked: their database cannot be fetched from this machine"
fi
