#!/usr/bin/env bash
# fuzz.sh [TARGET...]: runs libFuzzer on every target, FUZZ_SECONDS (600) each; fails if one has a finding.
# `make test` runs a bounded part without libFuzzer (fuzz/properties/tests/smoke.rs).
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

SECONDS_EACH=${FUZZ_SECONDS:-600}
CARGO_FUZZ=0.13.2
CARGO_FUZZ_DIR=$TOOLS/cargo-fuzz-$CARGO_FUZZ
# Several times every cap of the readers. Short inputs make long texts by repetition (fuzz/properties/src/body.rs).
MAX_LEN=4096
# An input that takes 5 s or 1 GB is a finding.
LIMITS=(-timeout=5 -rss_limit_mb=1024)

[[ $SECONDS_EACH =~ ^[1-9][0-9]*$ ]] || die "invalid FUZZ_SECONDS '$SECONDS_EACH': expected a number of seconds above 0"
rustup run nightly cargo --version >/dev/null 2>&1 ||
    die "libFuzzer needs a nightly compiler, and none is installed: run 'rustup toolchain install nightly'"
command -v c++ >/dev/null || die "libFuzzer needs a C++ compiler (c++ on PATH): Debian 'apt install g++', macOS 'xcode-select --install'"

if [[ ! -x $CARGO_FUZZ_DIR/cargo-fuzz ]]; then
    say "cargo-fuzz: building $CARGO_FUZZ (about a minute)"
    scripts/install-crate.sh "$CARGO_FUZZ_DIR" cargo-fuzz "$CARGO_FUZZ" ||
        die "cannot build cargo-fuzz $CARGO_FUZZ: see cargo's message above"
fi
PATH=$CARGO_FUZZ_DIR:$PATH

targets=("$@")
if ((${#targets[@]} == 0)); then
    for file in fuzz/fuzz_targets/*.rs; do
        file=${file##*/}
        targets+=("${file%.rs}")
    done
fi

cargo run --quiet --package infertally-fuzz --bin fuzz-corpus -- fuzz/corpus

# The filter is safe Rust, so a sanitizer would find nothing and halve the speed. cargo-fuzz turns on overflow checks and
# debug assertions anyway.
options=(--sanitizer none)
say "fuzz: building the targets"
cargo +nightly fuzz build "${options[@]}" || die "cannot build the fuzz targets: see the compiler's message above"

scratch
findings=0
summary=()
for target in "${targets[@]}"; do
    printf '\n=== %s, %s s\n' "$target" "$SECONDS_EACH"
    log=$SCRATCH/$target
    regressions=()
    [[ -d fuzz/regressions/$target ]] && regressions=("fuzz/regressions/$target")
    result=ok
    cargo +nightly fuzz run "${options[@]}" "$target" "fuzz/corpus/$target" "${regressions[@]}" -- \
        "-max_total_time=$SECONDS_EACH" "-max_len=$MAX_LEN" -dict=fuzz/corpus/tokens.dict "${LIMITS[@]}" \
        -print_final_stats=1 >"$log" 2>&1 || result=FOUND
    stat() { sed -nE "s/^stat::$1: *([0-9]+)\$/\\1/p" "$log" | tail -n 1; }
    if [[ $result != ok ]]; then
        findings=$((findings + 1))
        # Only the failure, without libFuzzer's progress lines before it.
        sed -nE '/panicked at|ERROR: libFuzzer|^error/,$p' "$log" | head -n 60
    fi
    executions=$(stat number_of_executed_units)
    summary+=("$(printf '%-14s %-6s %12s executions %9s/s  %4s MB' "$target" "$result" "${executions:--}" \
        "$(stat average_exec_per_sec)" "$(stat peak_rss_mb)")")
    say "${summary[-1]}"
done

printf '\n=== summary\n'
printf '%s\n' "${summary[@]}"
((findings == 0)) || die "make fuzz: findings in $findings of ${#targets[@]} targets; their inputs are in fuzz/artifacts/.
To reproduce one, put .tools/cargo-fuzz-$CARGO_FUZZ on PATH and run 'cargo +nightly fuzz run TARGET INPUT'. After the fix,
keep the input as fuzz/regressions/TARGET/NAME: 'make test' runs those."
say "make fuzz: no findings"
