#!/usr/bin/env bash
# Starts compose.yaml, waits until every service is healthy, requests every URL that the documents name, checks Prometheus
# against the guide, and removes everything again. Images that cannot be pulled are replaced by stand-ins, which are removed
# too.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

# Enough for a large image on a slow connection.
PULL_SECONDS=300
# An idle machine needs about ten seconds.
HEALTHY_SECONDS=180

[[ $(docker compose version --short 2>/dev/null) =~ ^v?2\.(2[4-9]|[3-9]) || $(docker compose version --short 2>/dev/null) =~ ^v?[3-9] ]] ||
    die "Docker Compose 2.24 or later is needed ('docker compose version')"
command -v curl >/dev/null || die "curl is missing: the documents' commands use it"

scripts/images.sh

compose=(docker compose --project-name infertally-test)
stand_ins=()
remove_all() {
    say "compose: removing everything"
    "${compose[@]}" down --volumes --timeout 5 --remove-orphans >/dev/null 2>&1 || warn "docker compose down failed"
    ((${#stand_ins[@]} == 0)) || docker image rm --force "${stand_ins[@]}" >/dev/null || true
}
trap remove_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

while read -r image; do
    if docker image inspect "$image" >/dev/null 2>&1; then
        continue
    fi
    say "compose: pulling $image"
    if ! timeout "$PULL_SECONDS" docker pull --quiet "$image" >/dev/null 2>&1; then
        stand_ins+=("$image")
        scripts/stand-in.sh "$image"
        warn "$image could not be pulled; using a stand-in built from local programs"
    fi
done < <("${compose[@]}" config --images | sort -u)

since=$(date +%s)
say "compose: starting"
if ! "${compose[@]}" up --detach --wait --wait-timeout "$HEALTHY_SECONDS" --quiet-pull >"$TOOLS/compose-up.log" 2>&1; then
    tail -n 20 "$TOOLS/compose-up.log" >&2
    "${compose[@]}" ps --all >&2
    "${compose[@]}" logs --tail 10 >&2
    die "not every service is healthy after $HEALTHY_SECONDS s"
fi
say "compose: every service is healthy, $(($(date +%s) - since)) s after the start"
docker events --since "$since" --until "$(($(date +%s) + 1))" --filter type=container --filter event=start --filter event=health_status \
    --format '{{.TimeNano}} {{index .Actor.Attributes "com.docker.compose.service"}} {{.Action}}' | scripts/check-compose.py times

[[ " ${stand_ins[*]} " != *" prom/prometheus:"* ]] || export WITHOUT_PAGES=yes
scripts/check-compose.py documents README.md docs/compose.md
scripts/check-compose.py prometheus || {
    "${compose[@]}" logs --tail 10 >&2
    die "Prometheus lacks series, rules or alerts"
}
say "make test-compose: passed, $SECONDS s${stand_ins[*]:+, with stand-ins for ${stand_ins[*]}}"
