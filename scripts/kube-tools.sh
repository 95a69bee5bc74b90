#!/usr/bin/env bash
# Builds a real etcd and kube-apiserver from their released source, once. Go fetches it as it is set up to on this machine,
# and holds it against the checksums in tests/kube/*/go.sum. On stdout where the two are, a line each.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

# All else goes to stderr.
exec 3>&1 >&2

# required MODULE FILE: the version that a go.mod names.
required() { awk -v module="$1" '$1 == "require" { $1 = $2; $2 = $3 } $1 == module { print $2; exit }' "$2"; }

KUBERNETES=$(required k8s.io/kubernetes tests/kube/apiserver/go.mod)
ETCD=$(required go.etcd.io/etcd/server/v3 tests/kube/etcd/go.mod)
GO_OLDEST=$(awk '$1 == "go" { print $2 }' tests/kube/apiserver/go.mod)

# With -v Go names each package that it compiles.
progress() {
    local package count=0
    while read -r package; do
        count=$((count + 1))
        ((count % 200 != 0)) || say "  $count packages compiled, now $package"
    done
}

# build NAME VERSION MODULE PACKAGE LDFLAGS
build() {
    local name=$1 version=$2 module=$3 package=$4 ldflags=$5 start=$SECONDS
    if [[ -x $TOOLS/$name-$version/$name ]]; then
        say "$name: ready ($version, .tools/$name-$version/$name)"
        return
    fi
    check_go
    [[ -n ${SCRATCH:-} ]] || scratch
    mkdir "$SCRATCH/$name"
    say "$name: building $version from source: minutes for the first time, and gigabytes in Go's caches"
    (
        cd "$module" || exit
        GOWORK=off CGO_ENABLED=0 nice go build -v -trimpath -ldflags "-s -w $ldflags" -o "$SCRATCH/$name/$name" "$package" \
            2>&1 | tee "$SCRATCH/log" | progress
    ) || die "$name $version could not be built:
$(tail -n 5 "$SCRATCH/log")"
    publish "$SCRATCH/$name" "$TOOLS/$name-$version"
    say "$name: built in $((SECONDS - start)) s"
}

check_go() {
    local found
    command -v go >/dev/null ||
        die "Go $GO_OLDEST or later is missing, which builds kube-apiserver: see https://go.dev/doc/install"
    found=$(go env GOVERSION)
    version_at_least "${found#go}" "$GO_OLDEST" || die "Go $GO_OLDEST or later is needed (found $found): see https://go.dev/doc/install"
}

# kube-apiserver goes by the version that it is told it has.
stamp=k8s.io/component-base/version
IFS=. read -r major minor _ <<<"${KUBERNETES#v}"
build etcd "${ETCD#v}" tests/kube/etcd . ""
build kube-apiserver "${KUBERNETES#v}" tests/kube/apiserver k8s.io/kubernetes/cmd/kube-apiserver \
    "-X $stamp.gitVersion=$KUBERNETES -X $stamp.gitMajor=$major -X $stamp.gitMinor=$minor"
printf '%s\n' "$TOOLS/etcd-${ETCD#v}/etcd" "$TOOLS/kube-apiserver-${KUBERNETES#v}/kube-apiserver" >&3
