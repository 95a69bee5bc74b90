# The user's interface. Each target runs a script of scripts/, which contains the logic.

# The steps share target/ and .tools/, and cargo uses every core, so `make -j` would gain nothing.
.NOTPARALLEL:
.PHONY: help setup wasm syncer images demo demo-once test test-kube test-compose bench bench-full fuzz lint fmt clean clean-tools
.DEFAULT_GOAL := help

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## Fetch missing tools into .tools: wasm32 library, Envoy, cargo-deny, typos, Prometheus, kubectl
	@scripts/setup.sh

wasm: setup ## Build the filter: dist/infertally.wasm
	@scripts/build-wasm.sh

syncer: ## Build the syncer: dist/infertally-syncer
	@scripts/build-syncer.sh

images: ## Build the four images: infertally-syncer, infertally-lora-syncer, infertally (the filter), infertally-sim; needs Docker
	@scripts/with-engine.sh scripts/images.sh

demo: wasm syncer ## Run Envoy with the filter, the syncer and simulated model servers until Ctrl-C
	@scripts/demo.sh

demo-once: wasm syncer ## Run the demo once; fails unless every metric is present and exact
	@scripts/demo.sh --once

test: ## Run every test that needs no cluster: lint, unit tests, tests with a real Envoy and Prometheus
	@scripts/test.sh

test-kube: ## Test with a real Kubernetes API server, Istio and Envoy Gateway, built once with Go 1.24 (about 20 minutes)
	@scripts/test-kube.sh

test-compose: ## Start compose.yaml, request every URL that the documents name, and remove everything again; needs Docker
	@scripts/with-engine.sh scripts/test-compose.sh

fuzz: ## Fuzz the filter and the syncer's parsers, FUZZ_SECONDS (600) per target; needs nightly Rust
	@scripts/fuzz.sh

bench: wasm ## Measure what the filter costs, compared with Envoy without it, with Envoy's own C++ filters and with an ext_proc server
	@scripts/bench.sh

bench-full: wasm ## Measure how the filter's cost grows with bodies, events, models, open streams and workers; draws docs/growth.svg
	@scripts/bench.sh growth

lint: setup ## Check formatting, vocabulary, clippy for host and wasm32, licences and sources of dependencies
	@scripts/lint.sh

fmt: ## Format the code
	@cargo fmt --all

clean: ## Remove build output; keep .tools
	@rm -rf target dist

clean-tools: ## Remove .tools: the next setup fetches everything again
	@rm -rf .tools
