#!/usr/bin/env bash
# with-engine.sh COMMAND...: runs it with a container engine. One that answers is used as it is. Where none does, root on
# Debian gets a Docker Engine of the repository's own, for as long as the command takes: unpacked and with its state below
# .tools, on a socket of its own. (It makes firewall rules in the kernel, as any Docker Engine does; its bridge goes with it.)
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

# How long the engine may take to answer, and to end.
START_SECONDS=60
STOP_SECONDS=30

if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
    exec "$@"
fi
# An engine that was asked for and does not answer is a mistake, not a reason to take another one.
[[ -z ${DOCKER_HOST:-} ]] || die "no container engine answers at DOCKER_HOST=$DOCKER_HOST"
[[ $(uname -s) == Linux && $EUID == 0 ]] ||
    die "no container engine answers ('docker info' fails). Install and start Docker (https://docs.docker.com/engine/install),
or set DOCKER_HOST to one. On Debian, root gets one below .tools that nothing is installed for: run this as root."

docker=$(scripts/setup-engine.sh)
# A socket's path may have 107 bytes: not in the repository.
run=$(mktemp -d /tmp/infertally-docker.XXXXXX)
daemon='' command=''
had_bridge=''
[[ ! -e /sys/class/net/docker0 ]] || had_bridge=yes
# shellcheck disable=SC2329 # the trap calls it
stop() {
    # Told off by a signal, the command tidies up first: it needs the engine for that.
    [[ -z $command ]] || { kill "$command" 2>/dev/null || true; wait "$command" 2>/dev/null || true; }
    if [[ -n $daemon ]] && kill "$daemon" 2>/dev/null; then
        timeout "$STOP_SECONDS" tail --pid="$daemon" -f /dev/null || kill -9 "$daemon" || true
    fi
    # Docker leaves its own bridge behind.
    [[ -n $had_bridge || ! -e /sys/class/net/docker0 ]] || ip link delete docker0 2>/dev/null || true
    rm -rf "$run"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

export PATH=$docker/bin:$PATH DOCKER_CONFIG=$docker/config DOCKER_HOST=unix://$run/docker.sock
mkdir -p "$TOOLS/docker-state"
# In a process group of its own: Ctrl-C is for the command, which still needs the engine to tidy up.
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
say "Docker: an engine of our own answers ($SECONDS s)"

# In the background, so that a signal reaches us while it runs.
"$@" &
command=$!
result=0
wait "$command" || result=$?
command=''
# Each build leaves its context behind; nobody else would clear that away.
docker builder prune --force --keep-storage 1gb >/dev/null 2>&1 || true
exit "$result"
