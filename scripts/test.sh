#!/usr/bin/env bash
# Runs every check that needs no cluster, in stages. The stages after a failed one still run, unless it was the setup, the lock
# file or the build of the filter.
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
    warn "Cargo.lock may be out of date: run 'cargo check' and commit it"
    return 1
}

# cargo_test ENVOY ARGUMENTS...: runs tests of the workspace with what they need to find.
cargo_test() {
    local kubectl prometheus promtool
    kubectl=$(scripts/tool.sh path kubectl) || return
    prometheus=$(scripts/tool.sh path prometheus) || return
    promtool=$(scripts/tool.sh path promtool) || return
    ENVOY=$1 KUBECTL=$kubectl PROMETHEUS=$prometheus PROMTOOL=$promtool INFERTALLY_WASM=$ROOT/dist/infertally.wasm \
        INFERTALLY_SYNCER=$CARGO_TARGET_DIR/debug/infertally-syncer \
        INFERTALLY_TRAP_WASM=$CARGO_TARGET_DIR/wasm32-unknown-unknown/debug/infertally_filter.wasm \
        cargo test --workspace --no-fail-fast "${@:2}"
}

all_tests() {
    local envoy
    envoy=$(scripts/tool.sh path envoy) || return
    # A filter that traps on request, for the tests of a crashed VM; the shipped one has no such feature.
    scripts/wasm-env.sh cargo build --package infertally-filter --features trap || return
    cargo_test "$envoy"
}

# The end-to-end tests again, with the oldest supported Envoy. Selected by name from the whole workspace, so that nothing is
# compiled with other features.
oldest_envoy_tests() {
    local envoy file names=()
    envoy=$(scripts/tool.sh path envoy-oldest) || return
    for file in tests/suites/e2e/tests/*; do
        file=${file##*/}
        case $file in
        # These check files, whatever the Envoy.
        compose_yaml.rs | documents.rs) ;;
        *) names+=(--test "${file%.rs}") ;;
        esac
    done
    # A process that sleeps takes 15 s a round; the other stage has five.
    INFERTALLY_SLEEP_ROUNDS=1 cargo_test "$envoy" "${names[@]}"
}

stage setup scripts/setup.sh || finish
# Locally cargo updates Cargo.lock; in CI that would hide a lock file that was not committed.
[[ -z ${CI:-} ]] || stage lock lock_file_is_current || finish
stage wasm scripts/build-wasm.sh || finish
stage scripts scripts/test-scripts.sh || true
stage lint scripts/lint.sh || true
stage wasm32 scripts/wasm-test.sh || true
stage tests all_tests || true
stage oldest oldest_envoy_tests || true
finish
