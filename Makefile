# The commands of the project. `make check` is what CI runs; `make` alone lists the targets.
PYTHON = $(shell scripts/setup_env.sh)

.PHONY: help setup check test bench docs

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/'

setup:  ## make or reuse the environment (.venv)
	@scripts/setup_env.sh

check:  ## ruff and mypy
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

test:  ## the fast tests
	./run_tests.sh

bench:  ## every benchmark, at the size that takes minutes
	$(PYTHON) benchmarks/startup.py --quick
	$(PYTHON) benchmarks/engine.py --quick
	$(PYTHON) benchmarks/recorder.py --rows 200000

docs:  ## check the documentation: links, commands, parity rows
	./run_tests.sh tests/test_docs.py
