# shellcheck shell=bash
# What every script needs: the repository's paths, messages, atomic results, versions.
# Only builtins run until a function is called: the prerequisite check must work with an empty PATH.

ROOT=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
TOOLS=$ROOT/.tools
cd "$ROOT" || exit 1

# Every step shares one target directory, so that nothing is compiled twice.
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}
[[ $CARGO_TARGET_DIR == /* ]] || CARGO_TARGET_DIR=$ROOT/$CARGO_TARGET_DIR
export CARGO_TARGET_DIR

# make does not pass its job server on to recipes; cargo would warn that it can't reach it.
unset MAKEFLAGS MFLAGS

# CI logs are plain text.
if [[ -n ${CI:-} ]]; then
    export CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=never
fi

say() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# scratch: creates $SCRATCH, a directory in .tools that is removed when the script ends. Work happens there and `publish`
# renames the result into place, so an interrupted run leaves nothing that looks complete.
scratch() {
    mkdir -p "$TOOLS"
    SCRATCH=$(mktemp -d "$TOOLS/tmp.XXXXXX")
    trap 'rm -rf "$SCRATCH"' EXIT
    # Die from the signal itself, so that the calling script sees an interrupt and not a failure.
    trap 'trap - INT; kill -INT $$' INT
    trap 'exit 143' TERM
}

# publish DIRECTORY DESTINATION: rename(2); `mv` would move it into a destination that exists. If another run published
# first, its result is as good.
publish() {
    python3 -c 'import os, sys; os.rename(sys.argv[1], sys.argv[2])' "$1" "$2" 2>/dev/null ||
        [[ -d $2 ]] || die "cannot rename $1 to $2"
}

# pin TOOL KEY: prints a value from scripts/pins.toml, one line per element of an array; nothing if it is absent.
pin() {
    awk -v table="[$1]" -v key="$2" '
        { sub(/#.*/, "") }
        /^\[/ { inside = $1 == table; next }
        inside && $1 == key { found = 1; array = $3 ~ /^\[/ }
        found {
            last = !array || /\]/
            while (match($0, /"[^"]*"/)) {
                print substr($0, RSTART + 1, RLENGTH - 2)
                $0 = substr($0, RSTART + RLENGTH)
            }
            if (last) exit
        }' scripts/pins.toml
}

# version_at_least HAVE WANT: compares dotted numbers; a missing number counts as 0.
version_at_least() {
    local -a have want
    local i
    IFS=. read -ra have <<<"$1"
    IFS=. read -ra want <<<"$2"
    for i in 0 1 2; do
        ((10#${have[i]:-0} > 10#${want[i]:-0})) && return 0
        ((10#${have[i]:-0} < 10#${want[i]:-0})) && return 1
    done
    return 0
}

# export_build_identity: the commit and the reference that a build reports. Docker passes them in, because there is no git
# inside; a source archive has neither.
export_build_identity() {
    INFERTALLY_COMMIT=${INFERTALLY_COMMIT:-$(git rev-parse HEAD 2>/dev/null)} || INFERTALLY_COMMIT=unknown
    INFERTALLY_BUILD_REF=${INFERTALLY_BUILD_REF:-$(git describe --tags --always --dirty 2>/dev/null)} || INFERTALLY_BUILD_REF=unknown
    export INFERTALLY_COMMIT INFERTALLY_BUILD_REF
}
