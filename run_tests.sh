#!/usr/bin/env bash
# Run the tests; arguments go to pytest.
#
#   ./run_tests.sh                     the fast ones, on two processes
#   ./run_tests.sh tests/config -x     some
#   ./run_tests.sh -m slow             the slow ones (a -m given later replaces the one given here)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

PYTHON="$(scripts/setup_env.sh)"
# One thread for each process: two processes that each take every core are slower than one.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
# A test that hangs fails with its stack; where no signal reaches it, its process ends, with the stacks of all threads.
# (Those marked `long` need more: --timeout 0 -o faulthandler_timeout=0.)
limits=(--timeout 300 -o faulthandler_timeout=400 -o faulthandler_exit_on_timeout=true)
exec "$PYTHON" -m pytest -n 2 --dist worksteal "${limits[@]}" -m "not slow and not ray and not gpu and not long" "$@"
