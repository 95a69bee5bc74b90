#!/usr/bin/env bash
# Finds kustomize, or fetches a kubectl, which has it built in. Only `make test` needs it, so whoever can't have it here can
# do everything else.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/kustomize-lib.sh"

fetch() {
    say "kustomize: fetching kubectl $KUBECTL_PINNED (20 MB)"
    scripts/fetch-debian.sh "$SCRATCH/debian" "$KUBECTL_PINNED" kubectl || return
    mkdir "$SCRATCH/out"
    mv "$SCRATCH/debian/usr/bin/kubectl" "$SCRATCH/out"
    publish "$SCRATCH/out" "$KUBECTL_DIR"
}

path=$(find_kustomize)
if [[ -z $path ]]; then
    scratch
    fetch || {
        warn "kubectl $KUBECTL_PINNED could not be fetched from Debian (the reason is above), and 'make test' needs kustomize.
Install kubectl (https://kubernetes.io/docs/tasks/tools) or kustomize (https://kubectl.docs.kubernetes.io/installation) yourself,
put it on PATH or set KUSTOMIZE, and run 'make setup' again."
        exit 0
    }
    path=$KUBECTL_DIR/kubectl
fi
version=$(kustomize_version "$path")
[[ -n $version ]] ||
    die "$path does not run here: install kubectl or kustomize yourself and set KUSTOMIZE=/path/to/it"
say "kustomize: ready ($version, ${path#"$ROOT/"})"
