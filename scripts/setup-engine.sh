#!/usr/bin/env bash
# Unpacks a Docker Engine with its client, buildx and Compose from Debian's packages into .tools; nothing is installed. Prints
# its directory on stdout. scripts/with-engine.sh starts it if no engine is running.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"
exec 3>&1 >&2

directory=$TOOLS/docker-$(pin docker version)

if [[ ! -x $directory/bin/dockerd ]]; then
    scratch
    say "Docker: fetching it from Debian (90 MB)"
    for group in docker docker-host-tools; do
        read -ra packages <<<"$(pin "$group" debian | tr '\n' ' ')"
        SUITES=$(pin "$group" suite) scripts/fetch-debian.sh "$SCRATCH/debian" - "${packages[@]}" ||
            die "the container engine could not be fetched from Debian; the reason is above. Install Docker with Compose v2
yourself (https://docs.docker.com/engine/install) and try again."
    done
    out=$SCRATCH/out
    mkdir -p "$out/bin" "$out/config/cli-plugins" "$out/lib/xtables"
    mv "$SCRATCH"/debian/usr/bin/{docker,containerd,containerd-shim-runc-v2} "$SCRATCH"/debian/usr/sbin/{dockerd,docker-proxy,runc} "$out/bin"
    mv "$SCRATCH"/debian/usr/libexec/docker/cli-plugins/docker-{buildx,compose} "$out/config/cli-plugins"
    find "$SCRATCH/debian/usr/lib" -name 'lib*.so*' -not -path '*/xtables/*' -exec mv -t "$out/lib" {} +
    mv "$SCRATCH"/debian/usr/lib/*/xtables/*.so "$out/lib/xtables"
    mv "$SCRATCH/debian/usr/sbin/xtables-nft-multi" "$out/lib"
    mv "$(find "$SCRATCH/debian" -path '*/bin/busybox')" "$(find "$SCRATCH/debian" -path '*/bin/bash-static')" "$out"
    # dockerd runs it by these names; the wrapper lets it find its libraries.
    for name in iptables ip6tables; do
        cat >"$out/bin/$name" <<'SH'
#!/bin/sh
lib=$(dirname "$0")/../lib
LD_LIBRARY_PATH=$lib XTABLES_LIBDIR=$lib/xtables exec "$lib/xtables-nft-multi" "$(basename "$0")" "$@"
SH
        chmod +x "$out/bin/$name"
    done
    publish "$out" "$directory"
fi
say "Docker: ready (${directory#"$ROOT/"})"
say "$directory" >&3
