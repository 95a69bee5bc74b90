#!/usr/bin/env bash
# Builds the programs of the images as static executables, which run in an empty image: the syncer, the simulator and the
# demo (for its traffic), in dist/static.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

programs=(infertally-syncer infertally-sim infertally-demo)

host=$(rustc --version --verbose | sed -n 's/^host: //p')
[[ $host == *-linux-* ]] ||
    die "static programs are built on Linux, and this is $host: 'make images IMAGES_FROM=source' builds them in Docker"
# Older versions of glibc load a library to resolve host names, which a static program can't.
if [[ $host == *-gnu ]]; then
    libc=$(getconf GNU_LIBC_VERSION)
    version_at_least "${libc#glibc }" 2.34 || die "static programs need glibc 2.34 or later to resolve host names (found $libc)"
fi

# Panic messages contain source paths: remap them, so that an image does not expose those of the build machine.
flags=(
    -Ctarget-feature=+crt-static
    "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
    "--remap-path-prefix=$ROOT=/infertally"
)
# With --target the flags don't apply to build scripts and proc macros, which can't be static.
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS
export_build_identity
say "static: building ${programs[*]} for $host"
cargo build --locked --release --target "$host" "${programs[@]/#/--package=}" ||
    die "the static build failed: the compiler's message is above. The linker needs libc.a: Debian has it in libc6-dev,
Fedora in glibc-static."

mkdir -p dist/static
for name in "${programs[@]}"; do
    cp "$CARGO_TARGET_DIR/$host/release/$name" "dist/static/.$name"
    mv "dist/static/.$name" "dist/static/$name"
    say "static: dist/static/$name, $(($(wc -c <"dist/static/$name"))) bytes"
done
