# shellcheck shell=bash
# What every script needs: where the repository is, how to speak, how to put a result in place whole.
# Builtins only until a function is called: the prerequisite check must work with nothing on PATH.

ROOT=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
TOOLS=$ROOT/.tools
cd "$ROOT" || exit 1

# One target directory for every step, so that nothing is compiled twice.
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}
[[ $CARGO_TARGET_DIR == /* ]] || CARGO_TARGET_DIR=$ROOT/$CARGO_TARGET_DIR
export CARGO_TARGET_DIR

# make's job server is not passed on to its recipes; cargo would only warn that it can't reach it.
unset MAKEFLAGS MFLAGS

# Logs get plain text.
if [[ -n ${CI:-} ]]; then
    export CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=never
fi

say() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# `scratch` makes $SCRATCH, a directory inside .tools that goes away with the script. Work happens there and `publish`
# renames the result into place, so that an interrupted run leaves nothing that looks ready.
scratch() {
    mkdir -p "$TOOLS"
    SCRATCH=$(mktemp -d "$TOOLS/tmp.XXXXXX")
    trap 'rm -rf "$SCRATCH"' EXIT
    # Dying of the signal itself tells the calling script that this was no failure to report.
    trap 'trap - INT; kill -INT $$' INT
    trap 'exit 143' TERM
}

# publish DIRECTORY DESTINATION: rename(2), which `mv` is not when the destination is there: it would move into it.
# When another run was faster, its result is as good.
publish() {
    python3 -c 'import os, sys; os.rename(sys.argv[1], sys.argv[2])' "$1" "$2" 2>/dev/null ||
        [[ -d $2 ]] || die "cannot put $2 in place"
}

# version_at_least HAVE WANT: compares dotted numbers; what is missing counts as 0.
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

# What a build says about itself, unless it has been told (inside Docker there is no git). A source archive without git has
# no commit.
export_build_identity() {
    INFERTALLY_COMMIT=${INFERTALLY_COMMIT:-$(git rev-parse HEAD 2>/dev/null)} || INFERTALLY_COMMIT=unknown
    INFERTALLY_BUILD_REF=${INFERTALLY_BUILD_REF:-$(git describe --tags --always --dirty 2>/dev/null)} || INFERTALLY_BUILD_REF=unknown
    export INFERTALLY_COMMIT INFERTALLY_BUILD_REF
}
