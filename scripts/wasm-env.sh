#!/usr/bin/env bash
# wasm-env.sh COMMAND...: runs a cargo command for the wasm32 target, e.g.
#     scripts/wasm-env.sh cargo build -p infertally-filter
# The one place that knows the target's flags.
set -euo pipefail
caller=$PWD
source "${BASH_SOURCE[0]%/*}/wasm-lib.sh"

flags=(-Ctarget-feature=+simd128)
if ! has_wasm_std "$RUST_SYSROOT"; then
    has_wasm_std "$WASM_SYSROOT" || die "no standard library for $WASM_TARGET yet: run 'make setup'"
    flags+=("--sysroot=$WASM_SYSROOT")
fi

# Panic messages hold source paths; those of the machine that builds have no place in the file. The last match wins.
flags+=(
    "--remap-path-prefix=$RUST_SYSROOT/lib/rustlib/src/rust=/rustc/$RUST_COMMIT"
    "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
    "--remap-path-prefix=$CARGO_TARGET_DIR=/target"
    "--remap-path-prefix=$ROOT=/infertally"
)

# The encoded form takes paths with spaces and goes before RUSTFLAGS, so flags meant for the host do not leak in; the
# target is set with it because these flags are for no other.
export CARGO_BUILD_TARGET=$WASM_TARGET
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS
cd "$caller"
exec "$@"
