# Everything a newcomer or a maintainer types; `make` alone lists it.
# Needed on the machine: make and Python 3.11 or newer. The rest goes into .venv, from requirements.lock.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MADE := $(VENV)/made-from-lock
# Two tests at once, each on one thread: on two cores that is quicker than one test on both, most tests being short.
JOBS ?= 2
# Tests of a file go to one process, which has its fixtures; whoever is idle takes some over.
PYTEST := HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo env test test-fast lint format lock benchmarks clean distclean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(MADE) ## Make .venv, run continual fine-tuning on eleven small tasks, build a board of your runs
	$(BIN)/vlcl run --protocol mini-mtil-1 --method finetune
	$(BIN)/vlcl leaderboard build --local

env: $(MADE) ## Make or renew .venv from requirements.lock, and nothing else

test: $(MADE) ## Run all tests, JOBS=2 at once; say which took longest
	@$(PYTEST) --durations=25 tests

test-fast: $(MADE) ## Run the tests that take no more than a few seconds each
	@$(PYTEST) -m "not slow" tests

lint: $(MADE) ## Check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(MADE) ## Format the code and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## Pin the newest versions that pyproject.toml allows and the lock does not yet hold (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: $(PYTHON) -m pip install uv"; exit 1; }
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --extra dev \
		pyproject.toml -o requirements.lock

benchmarks: $(MADE) ## Measure the times and sizes that the README reports
	$(BIN)/python -m vlcl_bench.benchmarks

clean: ## Delete caches and build leftovers; runs, pictures and .venv stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache build dist
	find . -name .venv -prune -o -name .git -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean ## As clean, and .venv too
	rm -rf $(VENV)

# The tools that build the project itself (hatchling, editables) are in the lock, so no step takes an unpinned version.
$(MADE): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "vlcl-bench needs Python 3.11 or newer; '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)."; \
		echo "Name another one, for instance: make demo PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make virtual environments."; \
		echo "On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "Installing the locked packages into $(VENV) (about 6 GB, mostly torch; some minutes) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
