#!/usr/bin/env bash
# Finds kubectl, or fetches the pinned one. Only `make test` needs it, so whoever can't have it here can do everything else.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/kubectl-lib.sh"

fetch() {
    say "kubectl: fetching $KUBECTL_PINNED (20 MB)"
    scripts/fetch-debian.sh "$SCRATCH/debian" "$KUBECTL_PINNED" kubectl || return
    mkdir "$SCRATCH/out"
    mv "$SCRATCH/debian/usr/bin/kubectl" "$SCRATCH/out"
    publish "$SCRATCH/out" "$KUBECTL_DIR"
}

path=$(find_kubectl)
if [[ -z $path ]]; then
    scratch
    fetch || {
        warn "kubectl $KUBECTL_PINNED could not be fetched from Debian (the reason is above), and 'make test' needs it.
Install kubectl $KUBECTL_OLDEST or later yourself (https://kubernetes.io/docs/tasks/tools), put it on PATH or set KUBECTL, and run
'make setup' again."
        exit 0
    }
    path=$KUBECTL_DIR/kubectl
fi
version=$(kubectl_version "$path")
[[ -n $version ]] ||
    die "$path does not run here: install kubectl $KUBECTL_OLDEST or later yourself and set KUBECTL=/path/to/kubectl"
say "kubectl: ready ($version, ${path#"$ROOT/"})"
