#!/usr/bin/env bash
# cargo-cyclonedx, which lists the crates that a package is made of. On stdout its path.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

version=$(sed -n 's/^cargo-cyclonedx==\([0-9.]*\).*/\1/p' scripts/pins/cargo-cyclonedx.txt)
directory=$TOOLS/cargo-cyclonedx-$version
if [[ ! -x $directory/cargo-cyclonedx ]]; then
    say "cargo-cyclonedx: building $version (some two minutes, once)" >&2
    # It runs for seconds, so little is spent on making it fast.
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
        scripts/install-crate.sh "$directory" cargo-cyclonedx "$version" >&2 ||
        die "cargo-cyclonedx $version could not be built: cargo's message is above"
fi
say "$directory/cargo-cyclonedx"
