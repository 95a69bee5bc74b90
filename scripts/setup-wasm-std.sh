#!/usr/bin/env bash
# Makes the wasm32 standard library ready: from the toolchain, else from rustup, else built here without changing the toolchain.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/wasm-lib.sh"

if has_wasm_std "$RUST_SYSROOT"; then
    say "wasm32 standard library: ready (the toolchain's)"
    exit
fi

if ! has_wasm_std "$WASM_SYSROOT"; then
    say "wasm32 standard library: requesting it from rustup"
    if ! command -v rustup >/dev/null; then
        reason="rustup is not installed"
    elif reason=$(RUST_BACKTRACE=0 rustup target add "$WASM_TARGET" 2>&1) && has_wasm_std "$RUST_SYSROOT"; then
        say "wasm32 standard library: ready (added by rustup)"
        exit
    fi

    say "wasm32 standard library: rustup could not add it; building it from Debian's rust-src $RUST_VERSION (45 MB, about a minute)"
    scripts/build-wasm-std.sh || die "the Rust target $WASM_TARGET is missing and could not be installed; the last reason is above.
Tried: 1. 'rustup target add $WASM_TARGET': $(grep -m 1 '^error' <<<"$reason" || tail -n 1 <<<"$reason")
       2. building it from Debian's package rust-src $RUST_VERSION, found through this machine's apt configuration.
Run 'rustup target add $WASM_TARGET' where rustup's servers can be reached, or install your system's package of it, and
run 'make setup' again."
fi

# The linker, rust-lld, is the toolchain's. Linked again each time, because the toolchain may have moved.
ln -sfn "$RUST_SYSROOT/lib/rustlib/$RUST_HOST" "$WASM_SYSROOT/lib/rustlib/$RUST_HOST"
say "wasm32 standard library: ready (built from source, ${WASM_SYSROOT#"$ROOT/"})"
