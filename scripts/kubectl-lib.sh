# shellcheck shell=bash
# Which `kubectl` the tests use, mostly for the kustomize that is built into it: $KUBECTL, else the one on PATH if it is
# recent enough, else the pinned one in .tools.

source "${BASH_SOURCE[0]%/*}/lib.sh"

KUBECTL_OLDEST=1.27
KUBECTL_PINNED=$(sed -n 's/^kubectl==\([0-9.]*\).*/\1/p' "$ROOT/scripts/pins/kubectl.txt")
KUBECTL_DIR=$TOOLS/kubectl-$KUBECTL_PINNED

# kubectl_version PROGRAM: reads its version ("Client Version: v1.32.3"); nothing when it is some other program's.
kubectl_version() {
    { "$1" version --client 2>&1 || true; } | sed -nE 's/^Client Version: v([0-9]+\.[0-9]+\.[0-9]+).*/\1/p'
}

# find_kubectl: prints its path; nothing when the pinned one is wanted and not there yet.
find_kubectl() {
    local path version
    if [[ -n ${KUBECTL:-} ]]; then
        path=$(command -v "$KUBECTL") || die "KUBECTL is '$KUBECTL', which is not a program"
        version=$(kubectl_version "$path")
        [[ -n $version ]] || die "KUBECTL is '$KUBECTL', whose version is not kubectl's, or older than $KUBECTL_OLDEST"
        version_at_least "$version" "$KUBECTL_OLDEST" ||
            die "KUBECTL is '$KUBECTL', version $version: $KUBECTL_OLDEST or later is needed (or unset KUBECTL)"
    elif path=$(command -v kubectl) && version=$(kubectl_version "$path") && [[ -n $version ]] &&
        version_at_least "$version" "$KUBECTL_OLDEST"; then
        :
    else
        path=$KUBECTL_DIR/kubectl
        [[ -x $path ]] || return 0
    fi
    # Absolute, because tests run in their own directories.
    [[ $path == /* ]] || path=$PWD/$path
    say "$path"
}
