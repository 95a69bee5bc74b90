#!/usr/bin/env bash
# Prints the path of the Envoy that demo and tests use.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/envoy-lib.sh"

path=$(find_envoy)
[[ -n $path ]] || die "no Envoy yet: run 'make setup'"
say "$path"
