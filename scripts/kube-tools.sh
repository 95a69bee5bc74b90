#!/usr/bin/env bash
# Builds etcd, kube-apiserver and the translators of Istio and Envoy Gateway from released source, once, and collects the CRDs
# that the manifests use. Go fetches the modules with this machine's settings and verifies them against
# tests/suites/kube/*/go.sum. Prints the paths on stdout, one per line: etcd, kube-apiserver, istio, envoy-gateway, CRDs.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

# Progress goes to stderr.
exec 3>&1 >&2
SCRATCH=

# required MODULE FILE: the version of a module that a go.mod requires.
required() { awk -v module="$1" '$1 == "require" { $1 = $2; $2 = $3 } $1 == module { print $2; exit }' "$2"; }

KUBERNETES=$(required k8s.io/kubernetes tests/suites/kube/apiserver/go.mod)
ETCD=$(required go.etcd.io/etcd/server/v3 tests/suites/kube/etcd/go.mod)
GO_OLDEST=$(awk '$1 == "go" { print $2 }' tests/suites/kube/apiserver/go.mod)

# progress TOTAL: counts the packages that `go build -v` prints.
progress() {
    local package count=0
    while read -r package; do
        count=$((count + 1))
        ((count % 200 != 0)) || say "  $count of $1 packages, $package"
    done
}

# module_file DIRECTORY MODULE FILE: the path of a file in a module that tests/suites/kube/DIRECTORY/go.mod requires.
module_file() {
    local directory
    directory=$(cd "tests/suites/kube/$1" && GOWORK=off go mod download -json "$2" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p') &&
        [[ -n $directory ]] || die "$2 could not be fetched"
    say "$directory/$3"
}

# build NAME VERSION MODULE PACKAGE LDFLAGS [FILE]: FILE is copied beside the program.
build() {
    local name=$1 version=$2 module=$3 package=$4 ldflags=$5 file=${6:-} start=$SECONDS
    if [[ -x $TOOLS/$name-$version/$name ]]; then
        say "$name: ready ($version, .tools/$name-$version/$name)"
        return
    fi
    check_go
    [[ -n $SCRATCH ]] || scratch
    mkdir "$SCRATCH/$name"
    say "$name: building $version from source (some minutes the first time, and 3 GB in Go's caches)"
    (
        cd "$module" || exit
        export GOWORK=off CGO_ENABLED=0
        total=$(go list -deps "$package" 2>"$SCRATCH/log" | wc -l) || exit
        nice go build -v -trimpath -ldflags "-s -w $ldflags" -o "$SCRATCH/$name/$name" "$package" \
            2>&1 | tee "$SCRATCH/log" | progress "$total"
    ) || die "the build of $name $version failed:
$(tail -n 5 "$SCRATCH/log")"
    [[ -z $file ]] || install -m 644 "$file" "$SCRATCH/$name"
    publish "$SCRATCH/$name" "$TOOLS/$name-$version"
    say "$name: built in $((SECONDS - start)) s"
}

check_go() {
    local found
    command -v go >/dev/null ||
        die "Go is missing: 'make test-kube' builds kube-apiserver with Go $GO_OLDEST or later (https://go.dev/doc/install)"
    found=$(go env GOVERSION)
    found=${found#go}
    version_at_least "${found%%[!0-9.]*}" "$GO_OLDEST" || die "Go $GO_OLDEST or later is needed, found $found (https://go.dev/doc/install)"
}

# kube-apiserver takes its version from the linker and enables features by it.
stamp=k8s.io/component-base/version
IFS=. read -r major minor _ <<<"${KUBERNETES#v}"
build etcd "${ETCD#v}" tests/suites/kube/etcd . ""
build kube-apiserver "${KUBERNETES#v}" tests/suites/kube/apiserver k8s.io/kubernetes/cmd/kube-apiserver \
    "-X $stamp.gitVersion=$KUBERNETES -X $stamp.gitMajor=$major -X $stamp.gitMinor=$minor"

# Our main.go wraps the upstream translator, so a change of it is a new version.
changed() { cksum "tests/suites/kube/$1/main.go" | cut -d ' ' -f 1; }
istio=$(required istio.io/istio tests/suites/kube/istio/go.mod)-$(changed istio)
gateway=$(required github.com/envoyproxy/gateway tests/suites/kube/envoy-gateway/go.mod)-$(changed envoy-gateway)
template=
if [[ ! -x $TOOLS/istio-$istio/istio ]]; then
    check_go
    template=$(module_file istio istio.io/istio tools/packaging/common/envoy_bootstrap.json)
fi
build istio "$istio" tests/suites/kube/istio . "" "$template"
build envoy-gateway "$gateway" tests/suites/kube/envoy-gateway . ""

# The CustomResourceDefinitions that the shipped manifests need, as their projects release them.
crds=$TOOLS/crds-$(cat tests/suites/kube/{crds,istio,envoy-gateway}/go.mod "${BASH_SOURCE[0]}" | cksum | cut -d ' ' -f 1)
if [[ ! -d $crds ]]; then
    check_go
    [[ -n $SCRATCH ]] || scratch
    say "CRDs: copying them from the modules"
    operator=$(module_file crds github.com/prometheus-operator/prometheus-operator example/prometheus-operator-crd/monitoring.coreos.com)
    keda=$(module_file crds github.com/kedacore/keda/v2 config/crd/bases/keda.sh)
    envoy_gateway=$(module_file envoy-gateway github.com/envoyproxy/gateway charts/gateway-helm/charts/crds/crds)
    istio_crds=$(module_file istio istio.io/istio manifests/charts/base/files/crd-all.gen.yaml)
    mkdir "$SCRATCH/crds"
    install -m 644 "$istio_crds" "$envoy_gateway/gatewayapi-crds.yaml" "$envoy_gateway"/generated/*.yaml \
        "$operator"_{podmonitors,prometheusrules,servicemonitors}.yaml \
        "$keda"_{scaledobjects,triggerauthentications}.yaml "$SCRATCH/crds"
    publish "$SCRATCH/crds" "$crds"
fi
say "CRDs: ready (${crds#"$ROOT/"})"

printf '%s\n' "$TOOLS/etcd-${ETCD#v}/etcd" "$TOOLS/kube-apiserver-${KUBERNETES#v}/kube-apiserver" \
    "$TOOLS/istio-$istio/istio" "$TOOLS/envoy-gateway-$gateway/envoy-gateway" "$crds" >&3
