#!/usr/bin/env bash
# with-engine.sh COMMAND...: runs a command with a container engine. A running engine is used. If there is none, root on Debian
# gets a private Docker Engine for the time of the command, unpacked into .tools, with its state there and its own socket.
# (Like any Docker Engine it adds firewall rules to the kernel; its bridge is removed at the end.)
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

# Limits on the engine's start and stop.
START_SECONDS=60
STOP_SECONDS=30

if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
    exec "$@"
fi
# DOCKER_HOST selects an engine: if that one does not respond, using another would hide the error.
[[ -z ${DOCKER_HOST:-} ]] || die "no container engine responds at DOCKER_HOST=$DOCKER_HOST"
[[ $(uname -s) == Linux && $EUID == 0 ]] ||
    die "no container engine is running ('docker info' fails). Install and start Docker (https://docs.docker.com/engine/install)
or set DOCKER_HOST. On Debian you can also run this as root: it then fetches an engine into .tools and installs nothing."

docker=$(scripts/setup-engine.sh)
# In /tmp, because the path of a socket is limited to 107 bytes.
run=$(mktemp -d /tmp/infertally-docker.XXXXXX)
daemon='' command=''
had_bridge=''
[[ ! -e /sys/class/net/docker0 ]] || had_bridge=yes
# shellcheck disable=SC2329 # the trap calls it
stop() {
    # After a signal the command cleans up first, for which it needs the engine.
    [[ -z $command ]] || { kill "$command" 2>/dev/null || true; wait "$command" 2>/dev/null || true; }
    if [[ -n $daemon ]] && kill "$daemon" 2>/dev/null; then
        timeout "$STOP_SECONDS" tail --pid="$daemon" -f /dev/null || kill -9 "$daemon" || true
    fi
    # Docker does not remove its bridge.
    [[ -n $had_bridge || ! -e /sys/class/net/docker0 ]] || ip link delete docker0 2>/dev/null || true
    rm -rf "$run"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

export PATH=$docker/bin:$PATH DOCKER_CONFIG=$docker/config DOCKER_HOST=unix://$run/docker.sock
mkdir -p "$TOOLS/docker-state"
# In its own process group: Ctrl-C must reach only the command, which needs the engine to clean up.
setsid dockerd --data-root "$TOOLS/docker-state" --exec-root "$run/exec" --pidfile "$run/docker.pid" --host "$DOCKER_HOST" \
    >"$run/log" 2>&1 &
daemon=$!
deadline=$((SECONDS + START_SECONDS))
until docker info >/dev/null 2>&1; do
    if ! kill -0 "$daemon" 2>/dev/null || ((SECONDS >= deadline)); then
        die "the Docker Engine does not start:
$(tail -n 5 "$run/log")"
    fi
    sleep 0.2
done
say "Docker: private engine started in $SECONDS s"

# In the background, so that this script receives signals while it runs.
"$@" &
command=$!
result=0
wait "$command" || result=$?
command=''
# Every build leaves its context in the cache, and nothing else removes it.
docker builder prune --force --keep-storage 1gb >/dev/null 2>&1 || true
exit "$result"
