#!/usr/bin/env bash
# install-crate.sh DESTINATION CRATE VERSION [OPTION...]: builds a program from crates.io and puts its binaries into
# DESTINATION. OPTIONs are those of `cargo install`.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"
destination=$1 crate=$2 version=$3
shift 3

scratch
install_crate() {
    CARGO_TARGET_DIR=$SCRATCH/target cargo install --quiet --root "$SCRATCH/root" --version "$version" "$@" "$crate"
}

# The versions of the program's own lock file, if they are all to be had: a registry's mirror may lack the newest.
if ! install_crate --locked "$@" 2>"$SCRATCH/log"; then
    grep -q 'failed to select a version' "$SCRATCH/log" || die "$(<"$SCRATCH/log")"
    warn "the lock file of $crate $version names what this registry lacks; going on without it"
    install_crate "$@"
fi
publish "$SCRATCH/root/bin" "$destination"
