#!/usr/bin/env bash
# Builds four images with the running container engine and prints their sizes: infertally-syncer, infertally-lora-syncer (the
# same program in its LoRA role), infertally (the filter, as Istio and Envoy Gateway pull it) and infertally-sim.
#
# IMAGES_FROM=dist, the default, packs what this machine's Rust builds. IMAGES_FROM=source builds inside Docker, which needs a
# registry for the Rust image, and fills dist/ with the same files. IMAGES_PREFIX=registry.example.com/team/ is put before
# the names.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"
from=${IMAGES_FROM:-dist}

# Compressed, as registries store it.
SYNCER_LIMIT=$((15 * 1000 * 1000))

case $from in
dist)
    scripts/setup-wasm-std.sh
    scripts/build-wasm.sh
    scripts/build-static.sh
    scripts/sbom.sh
    scripts/ca-certificates.sh
    ;;
source) ;;
*) die "IMAGES_FROM is '$from', not source or dist" ;;
esac

export_build_identity
version=$(sed -n '/^\[workspace.package\]/,/^\[/ s/^version = "\(.*\)"/\1/p' Cargo.toml)
where=${INFERTALLY_SOURCE:-$(git remote get-url origin 2>/dev/null)} || where=unknown
export DOCKER_BUILDKIT=1
build=(
    docker build --quiet --file images/Dockerfile --build-arg "FROM=$from" --build-arg "VERSION=$version"
    --build-arg "COMMIT=$INFERTALLY_COMMIT" --build-arg "BUILD_REF=$INFERTALLY_BUILD_REF" --build-arg "SOURCE=$where"
)

# size IMAGE: the compressed bytes of its layers.
size() {
    docker save "$1" | python3 -c '
import gzip, sys, tarfile
total = 0
with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as image:
    for member in image:
        if member.isfile() and (member.name.endswith("/layer.tar") or member.name.startswith("blobs/")):
            total += len(gzip.compress(image.extractfile(member).read(), 6))
print(total)'
}

if [[ $from == source ]]; then
    say "images: building from source in Docker (some minutes the first time)"
    "${build[@]}" --target source --output dist . || die "the build in Docker failed: Docker's message is above"
fi
for target in syncer lora wasm sim; do
    case $target in
    lora) name=infertally-lora-syncer ;;
    wasm) name=infertally ;;
    *) name=infertally-$target ;;
    esac
    image=${IMAGES_PREFIX:-}$name:$version
    "${build[@]}" --target "$target" --tag "$image" . >/dev/null || die "the build of $image failed: Docker's message is above"
    bytes=$(size "$image")
    say "images: $image, $((bytes / 1000)) KB compressed"
    [[ $target != syncer ]] || ((bytes < SYNCER_LIMIT)) || die "$image is larger than $SYNCER_LIMIT bytes"
done
