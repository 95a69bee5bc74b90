#!/usr/bin/env bash
# Generates the PrometheusRules of k8s/monitoring/operator from the rule files in k8s/monitoring. A rule file is already the
# `spec` of a PrometheusRule, so this only indents it.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

# wrap RULES NAME DIRECTORY
wrap() {
    local out=k8s/monitoring/operator/$3/prometheusrule.yaml
    {
        say "# Made from k8s/monitoring/$1 by scripts/prometheus-rules.sh: change it there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: $2
  namespace: default
  labels:
    app.kubernetes.io/name: $2
spec:"
        sed 's/^./  &/' "k8s/monitoring/$1"
    } >"$out"
    say "$out"
}

wrap alerts.yaml infertally-alerts alerts
wrap recording-rules.yaml infertally-pool model-servers
wrap slo.yaml infertally-slo slo
wrap costs.yaml infertally-costs costs
