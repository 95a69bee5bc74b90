#!/usr/bin/env bash
# Builds what the images hold, static, so that it needs nothing beside it: the syncer, the simulator and the demo (which
# makes traffic), in dist/static.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

programs=(infertally-syncer infertally-sim infertally-demo)

host=$(rustc --version --verbose | sed -n 's/^host: //p')
[[ $host == *-linux-* ]] ||
    die "static programs are built on Linux, and this is $host: 'make images IMAGES_FROM=source' builds them in Docker"
# Older ones load a library to look up a host's name, which a static program can't.
if [[ $host == *-gnu ]]; then
    libc=$(getconf GNU_LIBC_VERSION)
    version_at_least "${libc#glibc }" 2.34 || die "static programs look up names with glibc 2.34 or later (here: $libc)"
fi

# Panic messages hold source paths; those of the machine that builds have no place in an image.
flags=(
    -Ctarget-feature=+crt-static
    "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
    "--remap-path-prefix=$ROOT=/infertally"
)
# With a --target the flags are for what is built, and not for build scripts and macros, which can't be static.
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}")
export CARGO_ENCODED_RUSTFLAGS
export_build_identity
say "static: building ${programs[*]} for $host"
cargo build --locked --release --target "$host" "${programs[@]/#/--package=}" ||
    die "they do not build: the compiler's message is above. (The linker wants libc.a: Debian has it in libc6-dev, Fedora in
glibc-static.)"

mkdir -p dist/static
for name in "${programs[@]}"; do
    cp "$CARGO_TARGET_DIR/$host/release/$name" "dist/static/.$name"
    mv "dist/static/.$name" "dist/static/$name"
    say "static: dist/static/$name, $(($(wc -c <"dist/static/$name"))) bytes"
done
