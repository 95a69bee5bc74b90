#!/usr/bin/env bash
# Brings everything that building and testing needs into .tools. What is there already is left alone.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

scripts/check-prerequisites.sh
scripts/setup-wasm-std.sh
scripts/setup-envoy.sh
scripts/setup-cargo-deny.sh
scripts/setup-prometheus.sh
scripts/setup-kubectl.sh

# What a killed run could not clear away itself; a day old, because another run may be at work.
find "$TOOLS" -maxdepth 1 -name 'tmp.*' -mtime +0 -exec rm -rf {} +
