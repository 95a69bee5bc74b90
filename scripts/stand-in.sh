#!/usr/bin/env bash
# stand-in.sh IMAGE: makes an image of that name out of programs that are here, for machines that can't reach its registry.
# Envoy and Prometheus are the real programs; Grafana's place is held by a web server that does two things as Grafana does:
# it says that it is well, and hands queries on to the data source that it reads from the provisioned file.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"
image=$1

docker=$(scripts/setup-engine.sh 2>/dev/null)
scratch
root=$SCRATCH/root
mkdir -p "$root"/{bin,etc,tmp,prometheus,var/lib/grafana}
chmod 1777 "$root/tmp"
cp "$docker/busybox" "$root/bin/busybox"
cp "$docker/bash-static" "$root/bin/bash"
for name in sh sed grep wget httpd; do ln -s busybox "$root/bin/$name"; done

# add PROGRAM: with the libraries that it is linked to.
add() {
    local library
    cp "$1" "$root/bin/"
    { ldd "$1" 2>/dev/null || true; } | grep -oE '/[^ ]+' | while read -r library; do
        mkdir -p "$root${library%/*}"
        cp -L "$library" "$root$library"
    done
}

case $image in
envoyproxy/envoy:*)
    add "$(scripts/envoy-path.sh)"
    entrypoint='["/bin/envoy"]' owner=0:0
    ;;
prom/prometheus:*)
    add "$(scripts/prometheus-path.sh prometheus)"
    add "$(scripts/prometheus-path.sh promtool)"
    entrypoint='["/bin/prometheus"]' owner=65534:65534
    ;;
grafana/grafana:*)
    mkdir -p "$root/www/api"
    say '{"database": "ok", "version": "a stand-in"}' >"$root/www/api/health"
    say 'A stand-in: not Grafana.' >"$root/www/index.html"
    cat >"$root/run.sh" <<'SH'
set -eu
file=/etc/grafana/provisioning/datasources/prometheus.yaml
uid=$(sed -n 's/^  uid: //p' "$file")
url=$(sed -n 's/^  url: //p' "$file")
echo "P:/api/datasources/proxy/uid/$uid:$url" >/tmp/httpd.conf
exec httpd -f -p 3000 -h /www -c /tmp/httpd.conf
SH
    entrypoint='["/bin/sh", "/run.sh"]' owner=472:0
    ;;
*) die "nothing here can stand in for $image" ;;
esac

cat >"$SCRATCH/Dockerfile" <<DOCKERFILE
FROM scratch
LABEL infertally.stand-in=true
COPY root /
COPY --chown=$owner root/prometheus /prometheus
COPY --chown=$owner root/var/lib/grafana /var/lib/grafana
ENTRYPOINT $entrypoint
DOCKERFILE
DOCKER_BUILDKIT=1 docker build --quiet --tag "$image" "$SCRATCH" >/dev/null
