#!/usr/bin/env bash
# kubectl-path.sh: prints the path of the kubectl that the tests use.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/kubectl-lib.sh"

path=$(find_kubectl)
[[ -n $path ]] || die "no kubectl yet: run 'make setup'"
say "$path"
