// Modules whose zips hold CRDs that the shipped manifests need; nothing of them is built. Those of Istio, Envoy Gateway and
// the Gateway API come with the modules that the translators are built from.
module infertally/crds

go 1.24.0

require (
	github.com/kedacore/keda/v2 v2.20.2
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
