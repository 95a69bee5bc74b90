#!/usr/bin/env bash
# Writes a CycloneDX bill of materials for each shipped program: dist/<program>.cdx.json. It is reproducible: the same
# sources give the same bytes.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

scripts/tool.sh setup cargo-cyclonedx
tool=$(scripts/tool.sh path cargo-cyclonedx)
host=$(rustc --version --verbose | sed -n 's/^host: //p')

# The tool writes beside each Cargo.toml, so it works on a copy.
scratch
mkdir -p "$SCRATCH/src/fuzz"
cp -r Cargo.toml Cargo.lock filter syncer tests "$SCRATCH/src"
cp -r fuzz/properties "$SCRATCH/src/fuzz"
mkdir -p dist

# list TARGET [DIRECTORY PROGRAM]...: lists the crates that are compiled into each program for that target.
list() {
    local target=$1 folder program list
    shift
    (cd "$SCRATCH/src" && "$tool" cyclonedx --quiet --format json --spec-version 1.5 --no-build-deps --target "$target" \
        --override-filename "$target") || die "cargo-cyclonedx failed: its message is above"
    while (($# > 0)); do
        folder=$1 program=$2
        shift 2
        list=dist/$program.cdx.json
        # Remove the random serial number, the time and this machine's paths.
        sed -e '/^  "serialNumber":/d' -e '/^    "timestamp":/d' -e "s|$SCRATCH/src|/infertally|g" \
            "$SCRATCH/src/$folder/$target.json" >"$list.new"
        mv "$list.new" "$list"
        say "sbom: $list, $(grep -c '^      "purl"' "$list") crates"
    done
}

list wasm32-unknown-unknown filter infertally.wasm
list "$host" syncer infertally-syncer tests/lib/sim infertally-sim tests/demo infertally-demo
