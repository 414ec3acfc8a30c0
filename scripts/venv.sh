#!/usr/bin/env bash
# Makes a Python environment, or leaves it alone when it is already the one that is asked for.
#
#   scripts/venv.sh DIRECTORY REQUIREMENTS
#
# PYTHON names the interpreter; without it the first of 3.11, 3.12 and 3.10 that is there is taken.
set -euo pipefail

directory=$1
requirements=$2

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3.10 python3; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "venv: no Python 3.10, 3.11 or 3.12 found; install one, or name it in PYTHON" >&2
    return 1
}

python=$(find_python)
# The folder is in the stamp because an environment that was moved does not work.
wanted=$( { cat -- "$requirements" "$0"; "$python" --version; pwd; } | sha256sum | cut -d ' ' -f 1)
if [ "$(cat -- "$directory/stamp" 2>/dev/null || true)" = "$wanted" ]; then
    exit 0
fi

echo "venv: installing $requirements into $directory ($("$python" --version))"
rm -rf -- "$directory"
if ! "$python" -m venv "$directory"; then
    echo "venv: $python cannot make environments; on Debian: apt-get install python3-venv" >&2
    exit 1
fi
# uv installs this in seconds; pip alone does it in minutes.
if "$directory/bin/python" -m pip install --quiet --disable-pip-version-check uv; then
    "$directory/bin/python" -m uv pip install --quiet --python "$directory/bin/python" -r "$requirements"
else
    "$directory/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
fi
printf '%s\n' "$wanted" > "$directory/stamp"
