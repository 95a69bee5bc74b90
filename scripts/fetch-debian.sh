#!/usr/bin/env bash
# fetch-debian.sh DIRECTORY VERSION PACKAGE[=VERSION]...: unpacks Debian packages of exactly that upstream version (or their
# own), all from one suite, on any Debian release. apt works with private state: the machine's sources, lists and packages do
# not change. apt verifies what it fetches against the archive's signature.
# SUITES lists the suites to search.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"
directory=$1 version=$2
packages=("${@:3}")
read -ra suites <<<"${SUITES:-trixie-backports trixie forky sid}"

for tool in apt-get apt-cache dpkg; do
    command -v "$tool" >/dev/null || die "$tool is missing: Debian packages are fetched on Debian and its derivatives only"
done

scratch
mkdir -p "$SCRATCH"/{lists,cache,download}/partial
list=$SCRATCH/sources.list
options=(
    -o "Dir::Etc::SourceList=$list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State=$SCRATCH" -o "Dir::State::lists=$SCRATCH/lists" -o Dir::State::status=/var/lib/dpkg/status
    -o "Dir::Cache=$SCRATCH/cache" -o Acquire::Languages=none -o Acquire::Retries=2
)
# When run as root, apt fetches as the user _apt, who may not write here.
((EUID == 0)) && options+=(-o APT::Sandbox::User=root)

# The machine's own Debian mirrors, from apt's reading of its configuration: a "URI FILE:ENTRY" per line.
# Without --no-release-info apt omits sources that were never updated, which on a fresh machine are all.
# The name of a base suite has no dash; the others are updates, security and the like.
# shellcheck disable=SC2016 # $(…) are apt's fields
mirrors=$(apt-get indextargets --no-release-info --format '$(REPO_URI) $(COMPONENT) $(RELEASE) $(SOURCESENTRY)' 'Created-By: Packages' |
    awk '$2 == "main" && $3 !~ /-/ && $1 ~ /debian/ && !seen[$1]++ { print $1, $4 }')
[[ -n $mirrors ]] || die "apt's configuration on this machine names no Debian mirror"

# key_of FILE:ENTRY: the key file of a mirror's entry, if it names one.
key_of() {
    sed -nE -e 's/^Signed-By: *(\/[^ ]+).*/\1/p' -e 's/.*signed-by=([^] ,]+).*/\1/p' "${1%:*}" | head -n 1
}

# full_version PACKAGE VERSION: the full version, in the current suite, that has this upstream version.
full_version() {
    apt-cache "${options[@]}" madison "$1" |
        awk -v want="$2" '{ upstream = $3; sub(/^[0-9]+:/, "", upstream); sub(/[+~-].*/, "", upstream) } upstream == want { print $3; exit }'
}

while read -r mirror entry; do
    key=$(key_of "$entry")
    for suite in "${suites[@]}"; do
        say "${packages[0]}: searching Debian $suite"
        say "deb ${key:+[signed-by=$key] }$mirror $suite main" >"$list"
        apt-get "${options[@]}" -qq update 2>"$SCRATCH/apt.log" || continue
        wanted=()
        for package in "${packages[@]}"; do
            upstream=$version
            [[ $package != *=* ]] || upstream=${package#*=}
            found=$(full_version "${package%%=*}" "$upstream")
            [[ -n $found ]] || continue 2
            wanted+=("${package%%=*}=$found")
        done

        say "${packages[0]}: fetching ${wanted[*]}"
        (cd "$SCRATCH/download" && apt-get "${options[@]}" -qq download "${wanted[@]}") ||
            die "apt could not fetch ${wanted[*]}: its message is above"
        mkdir -p "$directory"
        for archive in "$SCRATCH"/download/*.deb; do
            dpkg -x "$archive" "$directory"
        done
        exit
    done
done <<<"$mirrors"

[[ ! -s $SCRATCH/apt.log ]] || cat "$SCRATCH/apt.log" >&2
die "no Debian suite of ${suites[*]} has ${packages[*]} $version"
