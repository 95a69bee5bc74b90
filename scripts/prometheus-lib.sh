# shellcheck shell=bash
# Which `prometheus` and `promtool` the tests use, each: $PROMETHEUS and $PROMTOOL, else the one on PATH if it is recent
# enough, else the pinned one in .tools.

source "${BASH_SOURCE[0]%/*}/lib.sh"

PROMETHEUS_OLDEST=2.53
PROMETHEUS_PINNED=$(sed -n 's/^prometheus==\([0-9.]*\).*/\1/p' "$ROOT/scripts/pins/prometheus.txt")
PROMETHEUS_DIR=$TOOLS/prometheus-$PROMETHEUS_PINNED

# prometheus_version PROGRAM: reads its --version ("promtool, version 2.53.3+ds1 (branch: …"); nothing when it is some
# other program's.
prometheus_version() {
    { "$1" --version 2>&1 || true; } | sed -nE 's/^(prometheus|promtool), version ([0-9]+\.[0-9]+\.[0-9]+).*/\2/p' | head -n 1
}

# The variable that names a program: PROMETHEUS or PROMTOOL.
variable_of() { tr '[:lower:]' '[:upper:]' <<<"$1"; }

# find_prometheus prometheus|promtool: prints its path; nothing when the pinned one is wanted and not there yet.
find_prometheus() {
    local name=$1 variable path version
    variable=$(variable_of "$name")
    if [[ -n ${!variable:-} ]]; then
        path=$(command -v "${!variable}") || die "$variable is '${!variable}', which is not a program"
        version=$(prometheus_version "$path")
        [[ -n $version ]] || die "$variable is '${!variable}', whose --version is not ${name}'s"
        version_at_least "$version" "$PROMETHEUS_OLDEST" ||
            die "$variable is '${!variable}', version $version: $PROMETHEUS_OLDEST or later is needed (or unset $variable)"
    elif path=$(command -v "$name") && version=$(prometheus_version "$path") && [[ -n $version ]] &&
        version_at_least "$version" "$PROMETHEUS_OLDEST"; then
        :
    else
        path=$PROMETHEUS_DIR/$name
        [[ -x $path ]] || return 0
    fi
    # Absolute, because tests run in their own directories.
    [[ $path == /* ]] || path=$PWD/$path
    say "$path"
}
