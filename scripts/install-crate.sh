#!/usr/bin/env bash
# install-crate.sh DESTINATION CRATE VERSION [OPTION...]: builds the binaries of a crate from crates.io into DESTINATION, with
# options of `cargo install`.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"
destination=$1 crate=$2 version=$3
shift 3

scratch
install_crate() {
    CARGO_TARGET_DIR=$SCRATCH/target cargo install --quiet --root "$SCRATCH/root" --version "$version" "$@" "$crate"
}

# With the crate's own lock file if possible: a mirror of the registry may lack the newest versions.
if ! install_crate --locked "$@" 2>"$SCRATCH/log"; then
    if ! grep -q 'failed to select a version' "$SCRATCH/log"; then
        cat "$SCRATCH/log" >&2
        exit 1
    fi
    warn "this registry lacks a version in the lock file of $crate $version; building without the lock file"
    install_crate "$@"
fi
publish "$SCRATCH/root/bin" "$destination"
