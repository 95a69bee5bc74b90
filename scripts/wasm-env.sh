#!/usr/bin/env bash
# wasm-env.sh COMMAND...: runs a cargo command for the wasm32 target with the flags of the filter, for example
#     scripts/wasm-env.sh cargo build -p infertally-filter
set -euo pipefail
caller=$PWD
source "${BASH_SOURCE[0]%/*}/wasm-lib.sh"

flags=(-Ctarget-feature=+simd128)
if ! has_wasm_std "$RUST_SYSROOT"; then
    has_wasm_std "$WASM_SYSROOT" || die "no standard library for $WASM_TARGET yet: run 'make setup'"
    flags+=("--sysroot=$WASM_SYSROOT")
fi

# Panic messages contain source paths: remap them, so that the filter does not expose those of the build machine. The last
# match wins.
flags+=(
    "--remap-path-prefix=$RUST_SYSROOT/lib/rustlib/src/rust=/rustc/$RUST_COMMIT"
    "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
    "--remap-path-prefix=$CARGO_TARGET_DIR=/target"
    "--remap-path-prefix=$ROOT=/infertally"
)

# The encoded form supports paths with spaces and overrides RUSTFLAGS, so that flags for the host do not leak in. The target is
# set here because the flags fit no other.
export CARGO_BUILD_TARGET=$WASM_TARGET
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS
cd "$caller"
exec "$@"
