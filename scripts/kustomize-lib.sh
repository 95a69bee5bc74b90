# shellcheck shell=bash
# Which program builds k8s/ for the tests: $KUSTOMIZE, else `kustomize` or `kubectl` (which has it built in) on PATH if it
# is recent enough, else the pinned kubectl in .tools.

source "${BASH_SOURCE[0]%/*}/lib.sh"

KUSTOMIZE_OLDEST=5.0
KUBECTL_PINNED=$(sed -n 's/^kubectl==\([0-9.]*\).*/\1/p' "$ROOT/scripts/pins/kustomize.txt")
KUBECTL_DIR=$TOOLS/kubectl-$KUBECTL_PINNED

# kustomize_version PROGRAM: the version of kustomize in it; nothing when it is some other program's.
kustomize_version() {
    if [[ ${1##*/} == kubectl ]]; then
        { "$1" version --client 2>/dev/null || true; } | sed -nE 's/^Kustomize Version: v([0-9]+\.[0-9]+\.[0-9]+).*/\1/p'
    else
        { "$1" version 2>/dev/null || true; } | sed -nE 's/^v([0-9]+\.[0-9]+\.[0-9]+).*/\1/p'
    fi
}

# find_kustomize: prints its path; nothing when the pinned one is wanted and not there yet.
find_kustomize() {
    local path version name
    if [[ -n ${KUSTOMIZE:-} ]]; then
        path=$(command -v "$KUSTOMIZE") || die "KUSTOMIZE is '$KUSTOMIZE', which is not a program"
        version=$(kustomize_version "$path")
        [[ -n $version ]] && version_at_least "$version" "$KUSTOMIZE_OLDEST" ||
            die "KUSTOMIZE is '$KUSTOMIZE', which is neither kustomize nor kubectl with kustomize $KUSTOMIZE_OLDEST or later"
        say "$path"
        return
    fi
    for name in kustomize kubectl; do
        path=$(command -v "$name") && version=$(kustomize_version "$path") && [[ -n $version ]] &&
            version_at_least "$version" "$KUSTOMIZE_OLDEST" || continue
        say "$path"
        return
    done
    [[ ! -x $KUBECTL_DIR/kubectl ]] || say "$KUBECTL_DIR/kubectl"
}
