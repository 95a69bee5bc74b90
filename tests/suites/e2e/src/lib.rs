//! The tests against a real Envoy stand in `tests/`; what they share with other suites is `infertally_harness`.
