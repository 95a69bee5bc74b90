#!/usr/bin/env bash
# The wasm32 standard library: from the toolchain, from rustup, or built here without touching the toolchain.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/wasm-lib.sh"

if has_wasm_std "$RUST_SYSROOT"; then
    say "wasm32 standard library: ready (the toolchain's)"
    exit
fi

if ! has_wasm_std "$WASM_SYSROOT"; then
    say "wasm32 standard library: asking rustup for it"
    if ! command -v rustup >/dev/null; then
        refusal="there is no rustup"
    elif refusal=$(RUST_BACKTRACE=0 rustup target add "$WASM_TARGET" 2>&1) && has_wasm_std "$RUST_SYSROOT"; then
        say "wasm32 standard library: ready (added by rustup)"
        exit
    fi

    say "wasm32 standard library: rustup could not add it; building it from Debian's rust-src $RUST_VERSION (45 MB, about a minute)"
    scripts/build-wasm-std.sh || die "the Rust target $WASM_TARGET is missing and could not be had (the last reason is above).
Tried: 1. 'rustup target add $WASM_TARGET': $(grep -m 1 '^error' <<<"$refusal" || tail -n 1 <<<"$refusal")
       2. building it from Debian's package rust-src $RUST_VERSION, found through this machine's apt configuration.
Run 'rustup target add $WASM_TARGET' where rustup's servers can be reached, or install your system's package of it, and
run 'make setup' again."
fi

# The linker, rust-lld, is the toolchain's. Made anew each time: the toolchain may have moved.
ln -sfn "$RUST_SYSROOT/lib/rustlib/$RUST_HOST" "$WASM_SYSROOT/lib/rustlib/$RUST_HOST"
say "wasm32 standard library: ready (built from source, ${WASM_SYSROOT#"$ROOT/"})"
