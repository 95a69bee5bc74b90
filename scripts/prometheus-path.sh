#!/usr/bin/env bash
# prometheus-path.sh prometheus|promtool: prints the path of the one that the tests use.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/prometheus-lib.sh"

name=${1:-}
[[ $name == prometheus || $name == promtool ]] || die "prometheus-path.sh takes 'prometheus' or 'promtool', not '$name'"
path=$(find_prometheus "$name")
[[ -n $path ]] || die "no $name yet: run 'make setup'"
say "$path"
