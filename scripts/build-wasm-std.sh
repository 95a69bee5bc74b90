#!/usr/bin/env bash
# Builds the wasm32 standard library from the sources of this very compiler into a private sysroot in .tools.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/wasm-lib.sh"

scratch
scripts/fetch-debian.sh "$SCRATCH/src" "$RUST_VERSION" rust-src
source_root=$SCRATCH/src/usr/src/rustc-$RUST_VERSION
library=$source_root/library
[[ -d $library/vendor ]] || die "Debian's rust-src $RUST_VERSION has no library/vendor"

# std is built as the dependency of an empty crate outside our workspace; its vendor directory contains all crates it needs.
mkdir -p "$SCRATCH/empty/src" "$SCRATCH/empty/.cargo"
: >"$SCRATCH/empty/src/lib.rs"
cat >"$SCRATCH/empty/Cargo.toml" <<'TOML'
[package]
name = "empty"
edition = "2024"
[lib]
crate-type = ["cdylib"]
[workspace]
TOML
cat >"$SCRATCH/empty/.cargo/config.toml" <<TOML
[source.crates-io]
replace-with = "vendor"
[source.vendor]
directory = '$library/vendor'
TOML

# build-std needs a nightly compiler or RUSTC_BOOTSTRAP. Link-time optimization needs the bitcode; the paths become those of
# rustup's library; test harnesses need the crate `test`.
flags=(-Cembed-bitcode=yes "--remap-path-prefix=$source_root=/rustc/$RUST_COMMIT")
progress=(--quiet)
[[ -t 2 && -z ${CI:-} ]] && progress=(--color always)
(
    cd "$SCRATCH/empty"
    CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}")
    export CARGO_ENCODED_RUSTFLAGS
    export RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT=$library
    cargo build "${progress[@]}" --offline -Zbuild-std=std,panic_abort,test --target "$WASM_TARGET" --release \
        --target-dir "$SCRATCH/target"
) || die "the build of the standard library failed: cargo's message is above"

rustlib=$SCRATCH/sysroot/lib/rustlib
mkdir -p "$rustlib/$WASM_TARGET/lib"
cp "$SCRATCH/target/$WASM_TARGET"/release/deps/lib*.rlib "$rustlib/$WASM_TARGET/lib/"
has_wasm_std "$SCRATCH/sysroot" || die "the build produced no libstd"
publish "$SCRATCH/sysroot" "$WASM_SYSROOT"
