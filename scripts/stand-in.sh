#!/usr/bin/env bash
# stand-in.sh IMAGE: builds an image of that name from local programs, for machines that can't reach its registry.
# Envoy and Prometheus are the real programs. Grafana is replaced by an Envoy that implements two of its endpoints: the health
# check, and the proxy to the data source of the provisioned file.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"
image=$1

docker=$(scripts/setup-engine.sh 2>/dev/null)
scratch
root=$SCRATCH/root
mkdir -p "$root"/{bin,etc,tmp} "$SCRATCH"/owned/{prometheus,var/lib/grafana}
chmod 1777 "$root/tmp"
cp "$docker/busybox" "$root/bin/busybox"
cp "$docker/bash-static" "$root/bin/bash"
for name in sh sed grep wget; do ln -s busybox "$root/bin/$name"; done

# add PROGRAM: copies it with its shared libraries.
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
    add "$(scripts/tool.sh path envoy)"
    entrypoint='["/bin/envoy"]' owner=0:0
    ;;
prom/prometheus:*)
    add "$(scripts/tool.sh path prometheus)"
    add "$(scripts/tool.sh path promtool)"
    entrypoint='["/bin/prometheus"]' owner=65534:65534
    ;;
grafana/grafana:*)
    add "$(scripts/tool.sh path envoy)"
    cat >"$root/run.sh" <<'SH'
set -eu
value() { sed -n "s/^  $1: //p" /etc/grafana/provisioning/datasources/prometheus.yaml; }
url=$(value url) address=${url#http://}
page() { echo "{match: {path: $1}, direct_response: {status: 200, body: {inline_string: '$2'}}}"; }
exec envoy --config-yaml "
static_resources:
  listeners:
  - address: {socket_address: {address: 0.0.0.0, port_value: 3000}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: grafana
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config:
            virtual_hosts:
            - name: grafana
              domains: ['*']
              routes:
              - $(page / 'A stand-in, not Grafana.')
              - $(page /api/health '{\"database\": \"ok\", \"version\": \"a stand-in\"}')
              - match: {prefix: /api/datasources/proxy/uid/$(value uid)/}
                route: {cluster: data_source, prefix_rewrite: /}
  clusters:
  - name: data_source
    type: STRICT_DNS
    load_assignment:
      cluster_name: data_source
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: ${address%:*}, port_value: ${address#*:}}}}
"
SH
    entrypoint='["/bin/sh", "/run.sh"]' owner=472:0
    ;;
*) die "there is no stand-in for $image" ;;
esac

cat >"$SCRATCH/Dockerfile" <<DOCKERFILE
FROM scratch
LABEL infertally.stand-in=true
COPY root /
COPY --chown=$owner owned /
ENTRYPOINT $entrypoint
DOCKERFILE
DOCKER_BUILDKIT=1 docker build --quiet --tag "$image" "$SCRATCH" >/dev/null
