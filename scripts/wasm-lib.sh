# shellcheck shell=bash disable=SC2034 # the scripts that source this use its variables
# Where the wasm32 standard library is: in the toolchain, or in a private sysroot of this repository.

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

# A library fits the very compiler that built it, so the directory bears the compiler's name.
WASM_SYSROOT=$TOOLS/wasm-sysroot-$RUST_VERSION-${RUST_COMMIT:0:9}

has_wasm_std() {
    compgen -G "$1/lib/rustlib/$WASM_TARGET/lib/libstd-*.rlib" >/dev/null
}
