#!/usr/bin/env bash
# kustomize-path.sh: prints the path of the kustomize or kubectl that the tests use.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/kustomize-lib.sh"

path=$(find_kustomize)
[[ -n $path ]] || die "no kustomize yet: run 'make setup'"
say "$path"
