#!/usr/bin/env bash
# Finds Prometheus and promtool, or fetches the pinned ones. Only `make test` needs them, so whoever can't have them here
# can do everything else.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/prometheus-lib.sh"

fetch() {
    say "Prometheus: fetching $PROMETHEUS_PINNED (30 MB)"
    scripts/fetch-debian.sh "$SCRATCH/debian" "$PROMETHEUS_PINNED" prometheus promtool || return
    mkdir "$SCRATCH/out"
    mv "$SCRATCH"/debian/usr/bin/{prometheus,promtool} "$SCRATCH/out"
    publish "$SCRATCH/out" "$PROMETHEUS_DIR"
}

for name in prometheus promtool; do
    path=$(find_prometheus "$name")
    if [[ -z $path ]]; then
        scratch
        fetch || {
            warn "Prometheus $PROMETHEUS_PINNED could not be fetched from Debian (the reason is above), and 'make test' needs it.
Install Prometheus $PROMETHEUS_OLDEST or later yourself (https://prometheus.io/download, or your system's package), put prometheus
and promtool on PATH or set PROMETHEUS and PROMTOOL, and run 'make setup' again."
            exit 0
        }
        path=$PROMETHEUS_DIR/$name
    fi
    version=$(prometheus_version "$path")
    [[ -n $version ]] ||
        die "$path does not run here: install Prometheus $PROMETHEUS_OLDEST or later yourself and set $(variable_of "$name")=/path/to/$name"
    say "$name: ready ($version, ${path#"$ROOT/"})"
done
