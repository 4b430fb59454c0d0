#!/usr/bin/env bash
# Make or reuse the environment, and print its Python. Every other script starts with it:
#
#   PYTHON="$(scripts/setup_env.sh)"
#
# Torch goes in first, alone and pinned, so that nothing else decides which one it is; then runway, editable, held to
# constraints.txt. A stamp in the environment remembers what it was made from, so that a second call takes milliseconds.
# In an activated conda environment `runway_imdb` (see environment.yml) that environment is used as it is.
#
#   RUNWAY_VENV    where the environment is (.venv in the project)
#   RUNWAY_PYTHON  the interpreter to make it with (the first of python3.11 … python that is 3.11 or newer)
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="${RUNWAY_VENV:-$root/.venv}"
extras="lora,rouge,ray,sweep,slurm,s3,report,dev"

if [[ "${CONDA_DEFAULT_ENV:-}" == runway_imdb && -n "${CONDA_PREFIX:-}" ]]; then
    echo "$CONDA_PREFIX/bin/python"
    exit 0
fi

# The stamp holds the project's place too: an editable install points there, and a moved one points nowhere.
wanted="$root $(cat "$root/pyproject.toml" "$root/constraints.txt" "${BASH_SOURCE[0]}" | cksum)"
stamp="$venv/.runway-setup"
is_ready() { [[ -x "$venv/bin/python" && -f "$stamp" && "$(< "$stamp")" == "$wanted" ]]; }

if is_ready; then
    echo "$venv/bin/python"
    exit 0
fi

find_python() {
    local candidate
    for candidate in ${RUNWAY_PYTHON:-python3.11 python3.12 python3 python}; do
        # Asked by running it: a name on the path may be a shim that has no such version behind it.
        if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    echo "setup: no Python 3.11 or newer was found; install one, or name it: RUNWAY_PYTHON=/path/to/python $0" >&2
    return 1
}

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
quietly() {
    if ! "$@" > "$log" 2>&1; then
        echo "setup: this failed: $*" >&2
        tail -n 40 "$log" >&2
        return 1
    fi
}

# Two scripts started at once (or two test processes) make it once, where the system has a lock to offer.
mkdir -p "$(dirname "$venv")"
if command -v flock > /dev/null; then
    exec 9> "$venv.lock"
    flock 9
    if is_ready; then
        echo "$venv/bin/python"
        exit 0
    fi
fi

echo "setup: preparing $venv (minutes the first time, then nothing)" >&2
if ! "$venv/bin/python" -c 'import pip' > /dev/null 2>&1; then
    python="$(find_python)"
    quietly "$python" -m venv --clear "$venv"
fi
pip=("$venv/bin/python" -m pip --disable-pip-version-check install --quiet)
quietly "${pip[@]}" "$(grep -E '^torch==' "$root/constraints.txt")"
quietly "${pip[@]}" --constraint "$root/constraints.txt" --editable "$root[$extras]"
echo "$wanted" > "$stamp"
echo "$venv/bin/python"
