# shellcheck shell=bash disable=SC2034 # the scripts that source this use its variables
# The places of the wasm32 standard library: the toolchain, or a private sysroot in .tools.

source "${BASH_SOURCE[0]%/*}/lib.sh"

WASM_TARGET=wasm32-unknown-unknown
RUST_SYSROOT=$(rustc --print sysroot)
RUST_VERSION='' RUST_COMMIT='' RUST_HOST=''
while IFS=': ' read -r key value; do
    case $key in
    release) RUST_VERSION=$value ;;
    commit-hash) RUST_COMMIT=$value ;;
    host) RUST_HOST=$value ;;
    esac
done < <(rustc --version --verbose)

# A library works only with the compiler that built it, so the directory is named after the compiler.
WASM_SYSROOT=$TOOLS/wasm-sysroot-$RUST_VERSION-${RUST_COMMIT:0:9}

# has_wasm_std SYSROOT
has_wasm_std() {
    compgen -G "$1/lib/rustlib/$WASM_TARGET/lib/libstd-*.rlib" >/dev/null
}
