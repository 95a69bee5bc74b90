#!/usr/bin/env bash
# fetch-debian.sh DIRECTORY VERSION PACKAGE[=VERSION]...: unpacks Debian's packages of exactly that upstream version (or
# their own), all from one suite, whatever Debian release this machine runs. apt works in state of its own: the machine's
# sources, lists and packages stay as they are, and apt verifies what it fetches against the archive's signature.
# SUITES says where to look.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"
directory=$1 version=$2
packages=("${@:3}")
read -ra suites <<<"${SUITES:-trixie-backports trixie forky sid}"

for tool in apt-get apt-cache dpkg; do
    command -v "$tool" >/dev/null || die "no $tool here: this way needs Debian's tools"
done

scratch
mkdir -p "$SCRATCH"/{lists,cache,download}/partial
list=$SCRATCH/sources.list
options=(
    -o "Dir::Etc::SourceList=$list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State=$SCRATCH" -o "Dir::State::lists=$SCRATCH/lists" -o Dir::State::status=/var/lib/dpkg/status
    -o "Dir::Cache=$SCRATCH/cache" -o Acquire::Languages=none -o Acquire::Retries=2
)
# As root apt would fetch as its user _apt, who may not write here.
((EUID == 0)) && options+=(-o APT::Sandbox::User=root)

# The machine's own Debian mirrors, as apt itself reads its configuration: "URI FILE:ENTRY" a line.
# Without --no-release-info apt leaves out what was never updated, as on a fresh machine.
# A base suite's name has no dash; those with one are updates, security and the like.
# shellcheck disable=SC2016 # the $(…) are apt's fields
mirrors=$(apt-get indextargets --no-release-info --format '$(REPO_URI) $(COMPONENT) $(RELEASE) $(SOURCESENTRY)' 'Created-By: Packages' |
    awk '$2 == "main" && $3 !~ /-/ && $1 ~ /debian/ && !seen[$1]++ { print $1, $4 }')
[[ -n $mirrors ]] || die "this machine's apt configuration names no Debian mirror"

# The key that the machine trusts the mirror with, if its entry names a key file.
key_of() {
    sed -nE -e 's/^Signed-By: *(\/[^ ]+).*/\1/p' -e 's/.*signed-by=([^] ,]+).*/\1/p' "${1%:*}" | head -n 1
}

# full_version PACKAGE VERSION: its full version in the suite at hand whose upstream part is the one that is wanted.
full_version() {
    apt-cache "${options[@]}" madison "$1" |
        awk -v want="$2" '{ upstream = $3; sub(/^[0-9]+:/, "", upstream); sub(/[+~-].*/, "", upstream) } upstream == want { print $3; exit }'
}

while read -r mirror entry; do
    key=$(key_of "$entry")
    for suite in "${suites[@]}"; do
        say "${packages[0]}: looking in Debian $suite"
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
die "none of Debian's suites (${suites[*]}) has ${packages[*]} $version"
