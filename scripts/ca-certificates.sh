#!/usr/bin/env bash
# Puts Mozilla's root certificates for the syncer's image at dist/static/ca-certificates.crt. Not this machine's own: those
# may include some that only its owner trusts.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

scripts/tool.sh setup certifi
mkdir -p dist/static
install -m 644 "$TOOLS/certifi-$(pin certifi version)/cacert.pem" dist/static/ca-certificates.crt
say "ca-certificates: dist/static/ca-certificates.crt"
