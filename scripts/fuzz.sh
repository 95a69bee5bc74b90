#!/usr/bin/env bash
# fuzz.sh [TARGET...]: libFuzzer on every target in turn, FUZZ_SECONDS each; fails if one of them finds anything.
# A bounded part of it, without libFuzzer, is in `make test`.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

SECONDS_EACH=${FUZZ_SECONDS:-600}
CARGO_FUZZ=0.13.2
CARGO_FUZZ_DIR=$TOOLS/cargo-fuzz-$CARGO_FUZZ
# Some times every cap; what a longer input could do, a stretch of a shorter one does (fuzz/properties/src/body.rs).
MAX_LEN=4096
# A second for an input is a defect, and so is a gigabyte.
LIMITS=(-timeout=5 -rss_limit_mb=1024)

[[ $SECONDS_EACH =~ ^[1-9][0-9]*$ ]] || die "FUZZ_SECONDS is '$SECONDS_EACH', not a number of seconds"
rustup run nightly cargo --version >/dev/null 2>&1 ||
    die "libFuzzer needs a nightly compiler, and there is none: run 'rustup toolchain install nightly'"
command -v c++ >/dev/null || die "libFuzzer needs a C++ compiler (c++ on PATH): Debian 'apt install g++', macOS 'xcode-select --install'"

if [[ ! -x $CARGO_FUZZ_DIR/cargo-fuzz ]]; then
    say "cargo-fuzz: building $CARGO_FUZZ (about a minute)"
    scripts/install-crate.sh "$CARGO_FUZZ_DIR" cargo-fuzz "$CARGO_FUZZ" ||
        die "cargo-fuzz $CARGO_FUZZ could not be built: cargo's message is above"
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

# The filter is safe Rust, so a sanitizer would find nothing and take half of the speed. Overflows and debug assertions
# are checked all the same: cargo-fuzz turns them on.
options=(--sanitizer none)
say "fuzz: building the targets"
cargo +nightly fuzz build "${options[@]}" || die "the fuzz targets do not build: the compiler's message is above"

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
        # From the first word of the failure on; the fuzzer's own progress before it says nothing.
        sed -nE '/panicked at|ERROR: libFuzzer|^error/,$p' "$log" | head -n 60
    fi
    executions=$(stat number_of_executed_units)
    summary+=("$(printf '%-11s %-6s %12s executions %9s a second  %4s MB' "$target" "$result" "${executions:--}" \
        "$(stat average_exec_per_sec)" "$(stat peak_rss_mb)")")
    say "${summary[-1]}"
done

printf '\n=== summary\n'
printf '%s\n' "${summary[@]}"
((findings == 0)) || die "make fuzz: findings in $findings of ${#targets[@]} targets; the inputs are in fuzz/artifacts/.
Try one again with: .tools/cargo-fuzz-$CARGO_FUZZ on PATH, 'cargo +nightly fuzz run TARGET INPUT'. Once it is mended, keep
the input as fuzz/regressions/TARGET/NAME: 'make test' runs those."
say "make fuzz: nothing found"
