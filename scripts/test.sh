#!/usr/bin/env bash
# Everything that needs no cluster, in stages. A stage that fails does not hide what later ones find; only without tools
# or without the filter there is nothing left to test.
# shellcheck disable=SC2317,SC2329 # the stages are called by name
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

summary=()
failed=0

# stage NAME COMMAND...
stage() {
    local name=$1 start=$SECONDS result=ok
    shift
    printf '\n=== %s\n' "$name"
    "$@" || result=FAILED
    summary+=("$(printf '%-8s %-7s %4d s' "$name" "$result" "$((SECONDS - start))")")
    say "--- $name: $result, $((SECONDS - start)) s"
    [[ $result == ok ]] || failed=$((failed + 1))
    [[ $result == ok ]]
}

finish() {
    printf '\n=== summary\n'
    printf '%s\n' "${summary[@]}"
    if ((failed > 0)); then
        die "make test: $failed of ${#summary[@]} stages failed, $SECONDS s"
    fi
    say "make test: all ${#summary[@]} stages passed, $SECONDS s"
    exit
}

lock_file_is_current() {
    cargo fetch --quiet --locked && return
    warn "if Cargo.lock is out of date, run 'cargo check' and commit it"
    return 1
}

unit_and_envoy_tests() {
    local envoy kubectl prometheus promtool
    envoy=$(scripts/envoy-path.sh) || return
    kubectl=$(scripts/kubectl-path.sh) || return
    prometheus=$(scripts/prometheus-path.sh prometheus) || return
    promtool=$(scripts/prometheus-path.sh promtool) || return
    # A filter that a test can kill; the shipped one has no such thing.
    scripts/wasm-env.sh cargo build --package infertally-filter --features trap || return
    ENVOY=$envoy KUBECTL=$kubectl PROMETHEUS=$prometheus PROMTOOL=$promtool INFERTALLY_WASM=$ROOT/dist/infertally.wasm \
        INFERTALLY_SYNCER=$CARGO_TARGET_DIR/debug/infertally-syncer \
        INFERTALLY_TRAP_WASM=$CARGO_TARGET_DIR/wasm32-unknown-unknown/debug/infertally_filter.wasm \
        cargo test --workspace --no-fail-fast
}

stage setup scripts/setup.sh || finish
# At a desk cargo brings Cargo.lock up to date; in CI that would hide a lock file that was not committed.
[[ -z ${CI:-} ]] || stage lock lock_file_is_current || finish
stage wasm scripts/build-wasm.sh || finish
stage scripts scripts/test-scripts.sh || true
stage lint scripts/lint.sh || true
stage wasm32 scripts/wasm-test.sh || true
stage tests unit_and_envoy_tests || true
finish
