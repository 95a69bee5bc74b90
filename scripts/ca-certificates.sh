#!/usr/bin/env bash
# Mozilla's root certificates for the syncer's image, dist/static/ca-certificates.crt. Not this machine's own, among which may
# be some that only its owner believes.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

version=$(sed -n 's/^certifi==\([^ ]*\).*/\1/p' scripts/pins/ca-certificates.txt)
directory=$TOOLS/certifi-$version
[[ -f $directory/cacert.pem ]] ||
    scripts/fetch-wheel.sh scripts/pins/ca-certificates.txt certifi/cacert.pem "$directory" ||
    die "root certificates could not be fetched with pip (its reason is above)"
mkdir -p dist/static
# Readable by all, not to be run.
install -m 644 "$directory/cacert.pem" dist/static/ca-certificates.crt
say "ca-certificates: ready (certifi $version)"
