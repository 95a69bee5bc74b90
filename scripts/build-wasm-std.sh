#!/usr/bin/env bash
# Builds the wasm32 standard library from the compiler's own sources into a private sysroot in .tools.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/wasm-lib.sh"

scratch
scripts/fetch-debian.sh "$SCRATCH/src" "$RUST_VERSION" rust-src
source_root=$SCRATCH/src/usr/src/rustc-$RUST_VERSION
library=$source_root/library
[[ -d $library/vendor ]] || die "Debian's rust-src $RUST_VERSION lacks library/vendor"

# std is built as the dependency of an empty crate, outside our workspace; every crate it needs is in its vendor folder.
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

# build-std is for nightlies unless RUSTC_BOOTSTRAP is set. The bitcode is for link-time optimisation; the paths become
# those of rustup's own library; `test` is there for test harnesses.
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
) || die "building the standard library failed: cargo's message is above"

rustlib=$SCRATCH/sysroot/lib/rustlib
mkdir -p "$rustlib/$WASM_TARGET/lib"
cp "$SCRATCH/target/$WASM_TARGET"/release/deps/lib*.rlib "$rustlib/$WASM_TARGET/lib/"
has_wasm_std "$SCRATCH/sysroot" || die "the build made no libstd"
publish "$SCRATCH/sysroot" "$WASM_SYSROOT"
