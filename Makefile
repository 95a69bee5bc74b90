# The user's interface: each target names a script, and the logic is there. See scripts/.

# Steps share one target directory and one .tools; cargo itself uses every core, so `make -j` gains nothing here.
.NOTPARALLEL:
.PHONY: help setup wasm syncer images demo demo-once test test-kube test-compose bench fuzz lint fmt clean clean-tools
.DEFAULT_GOAL := help

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## Fetch what is missing into .tools: wasm32 library, Envoy, cargo-deny, Prometheus, kubectl
	@scripts/setup.sh

wasm: setup ## Build the filter: dist/infertally.wasm
	@scripts/build-wasm.sh

syncer: ## Build the syncer: dist/infertally-syncer
	@scripts/build-syncer.sh

images: ## Build the four images: infertally-syncer, infertally-lora-syncer, infertally (the filter) and infertally-sim; needs a container engine
	@scripts/with-engine.sh scripts/images.sh

demo: wasm syncer ## Run filter, Envoy and syncer with simulated model servers, until Ctrl-C
	@scripts/demo.sh

demo-once: wasm syncer ## The same, once: fails unless every metric is there and exact
	@scripts/demo.sh --once

test: ## Run everything that needs no cluster: lint, unit tests, real Envoy
	@scripts/test.sh

test-kube: ## Run the tests on a real Kubernetes API server and with the meshes' own translators, which Go 1.24 builds once (some 20 minutes)
	@scripts/test-kube.sh

test-compose: ## Start compose.yaml, ask everything that the documents name, and take it away again
	@scripts/with-engine.sh scripts/test-compose.sh

fuzz: ## Search for inputs that break the filter or what the LoRA role reads, FUZZ_SECONDS (600) for each target; needs nightly Rust
	@scripts/fuzz.sh

bench: wasm ## What the filter costs: Envoy with it, without it, and with Envoy's own C++ filters
	@scripts/bench.sh

lint: setup ## Formatting, clippy for host and wasm32, licences and sources of dependencies
	@scripts/lint.sh

fmt: ## Format the code
	@cargo fmt --all

clean: ## Remove what was built; .tools stays
	@rm -rf target dist

clean-tools: ## Remove .tools: the next setup fetches everything again
	@rm -rf .tools
