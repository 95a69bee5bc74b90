#!/usr/bin/env bash
# What each program that ships is made of, crate by crate, in CycloneDX's form: dist/<program>.cdx.json. The same sources give
# the same bytes.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

tool=$(scripts/setup-cyclonedx.sh)
host=$(rustc --version --verbose | sed -n 's/^host: //p')

# The tool writes beside each Cargo.toml, so it gets a copy.
scratch
mkdir "$SCRATCH/src"
cp -r Cargo.toml Cargo.lock filter syncer tests "$SCRATCH/src"
mkdir -p dist

# list TARGET FOLDER PROGRAM...: of all crates that are built into it for that target.
list() {
    local target=$1 folder program list
    shift
    (cd "$SCRATCH/src" && "$tool" cyclonedx --quiet --format json --spec-version 1.5 --no-build-deps --target "$target" \
        --override-filename "$target") || die "cargo-cyclonedx failed: its message is above"
    while (($# > 0)); do
        folder=$1 program=$2
        shift 2
        list=dist/$program.cdx.json
        # What is random, the time, and this machine's paths have no place in it.
        sed -e '/^  "serialNumber":/d' -e '/^    "timestamp":/d' -e "s|$SCRATCH/src|/infertally|g" \
            "$SCRATCH/src/$folder/$target.json" >"$list.new"
        mv "$list.new" "$list"
        say "sbom: $list, $(grep -c '^      "purl"' "$list") crates"
    done
}

list wasm32-unknown-unknown filter infertally.wasm
list "$host" syncer infertally-syncer tests/lib/sim infertally-sim tests/demo infertally-demo
