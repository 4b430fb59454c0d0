#!/usr/bin/env bash
# Hold the floors of pyproject.toml to what they say: an environment with the lowest allowed version of every direct
# dependency, and a choice of fast tests in it. By hand, after a floor was changed or something newer is used; no part
# of CI, as it installs for minutes. The environment is made anew each time; arguments go to pytest.
#
#   scripts/check_lowest_versions.sh
#   LOWEST_VENV=/tmp/lowest scripts/check_lowest_versions.sh tests/recorder -x      some tests
#
#   LOWEST_VENV    where the environment is (.venv-lowest in the project)
#   LOWEST_KEEP    1 leaves an environment that is there as it is, and only runs the tests
#
# Torch is the one that constraints.txt pins: an older wheel pulls gigabytes of CUDA. So the floor of torch is what was
# tested, and no lower one was tried. Of what the dependencies need, pip takes the newest that they allow.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv="${LOWEST_VENV:-.venv-lowest}"
extras="lora,rouge,ray,sweep,slurm,s3,dev"
tests=(
    tests/config/test_jsonnet.py tests/config/test_translation_configs.py
    tests/pipeline/keys/test_fingerprint.py tests/pipeline/store/test_formats.py
    tests/transforms/text tests/transforms/datasets tests/transforms/translation/test_clean_and_filter.py
    tests/recorder tests/metrics
    tests/executors/test_optimizers.py tests/executors/test_text_classification.py tests/executors/seq2seq
    tests/experiment/test_training.py tests/experiment/callbacks tests/experiment/test_provenance.py
)

if [[ "${LOWEST_KEEP:-}" != 1 ]]; then
    "${RUNWAY_PYTHON:-python3.11}" -m venv --clear "$venv"
    pip=("$venv/bin/python" -m pip --disable-pip-version-check install --quiet)
    torch="$(grep -E '^torch==' constraints.txt)"
    "${pip[@]}" "$torch"
    "$venv/bin/python" - "$extras" > "$venv/lowest.txt" << 'PYTHON'
import re
import sys
import tomllib

project = tomllib.load(open("pyproject.toml", "rb"))["project"]
groups = [project["dependencies"], *(project["optional-dependencies"][name] for name in sys.argv[1].split(","))]
for requirement in (line for group in groups for line in group):
    if not requirement.startswith("torch>="):
        print(requirement.replace(">=", "==", 1))
PYTHON
    # Wheels only: nobody should have to compile the lowest version. rouge-score has never had one.
    "${pip[@]}" --only-binary=:all: --no-binary=rouge-score --requirement "$venv/lowest.txt" "$torch"
    "${pip[@]}" --no-deps --no-build-isolation --editable .
fi
"$venv/bin/python" -m pip --disable-pip-version-check check
"$venv/bin/python" -m pip --disable-pip-version-check freeze --exclude-editable | grep -iE "$(
    sed -E 's/^([A-Za-z0-9_-]+)==.*/^\1==/; s/[-_]/[-_]/g' "$venv/lowest.txt" | paste -sd '|'
)|^torch=="

export OMP_NUM_THREADS=1
exec "$venv/bin/python" -m pytest -q -m "not slow and not ray and not gpu and not network" "${@:-"${tests[@]}"}"
