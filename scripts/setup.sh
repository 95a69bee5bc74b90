#!/usr/bin/env bash
# Fetches everything that building and testing needs into .tools. Nothing that is ready is fetched again.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

scripts/check-prerequisites.sh
scripts/setup-wasm-std.sh
scripts/tool.sh setup envoy envoy-oldest cargo-deny typos prometheus promtool kubectl

# Directories that a killed run left behind; a day old, because another run may be using a newer one.
find "$TOOLS" -maxdepth 1 -name 'tmp.*' -mtime +0 -exec rm -rf {} +
