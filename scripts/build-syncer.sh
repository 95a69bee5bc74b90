#!/usr/bin/env bash
# Builds the release binary of the syncer: dist/infertally-syncer.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

export_build_identity
say "syncer: building"
cargo build --package infertally-syncer --release ||
    die "the build of the syncer failed: the compiler's message is above"

mkdir -p dist
cp "$CARGO_TARGET_DIR/release/infertally-syncer" dist/.infertally-syncer
mv dist/.infertally-syncer dist/infertally-syncer
say "syncer: dist/infertally-syncer, $(($(wc -c <dist/infertally-syncer))) bytes"
