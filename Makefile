# Installs the project in a virtual environment (.venv), trains and tests. `make` lists the targets.
#
# Without an NVIDIA GPU, use the CPU build of torch. It avoids gigabytes of CUDA packages:
#   PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make train

PYTHON ?= python3
EXAMPLE ?= tuned_examples/ptm_small_mt_quick.yaml
EXPERIMENT ?=
ARGS ?=
BIN := .venv/bin

# Python keeps the files that it has compiled, even where this variable is set. Otherwise every process compiles
# Ray and torch again: ten seconds of a core for each start.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help install train results docs test test-slow clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

install: .venv/installed ## create .venv and install everything, once

train: .venv/installed ## train the quick example; for another one: make train EXAMPLE=file.yaml
	$(BIN)/rllib train file $(EXAMPLE)

results: .venv/installed ## reproduce docs/results: make results EXPERIMENT=small_mt; without EXPERIMENT list all
	$(BIN)/python benchmarks/paper/reproduce.py $(EXPERIMENT) $(ARGS)

docs: .venv/installed ## build the site of docs/ in build/site, after writing its generated pages
	$(BIN)/python docs/make_site/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "open build/site/index.html"

# The files that share a cluster of Ray run first (tests/conftest.py), then the others by name. So no process
# is left alone with a long file at the end. The type checker uses the time in which the tests wait for processes.
test: .venv/installed ## run the linter, the type checker and the fast tests, two test files at a time
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@mkdir -p .mypy_cache
	@echo "$(BIN)/mypy, beside the tests; its output comes last"
	@$(BIN)/mypy >.mypy_cache/output 2>&1 & types=$$!; \
	  (set -x; $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder); tests=$$?; \
	  wait $$types; types=$$?; cat .mypy_cache/output; exit $$((tests | types))

test-slow: .venv/installed ## run the tests that take minutes
	$(BIN)/pytest -m slow

clean: ## remove .venv, builds and caches; keep results/
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Created last, so make repeats an installation that was interrupted. pip would compile all files, which takes
# more than a minute. Python compiles only those that it imports, less than a fifth of them. The import below does
# that once, because Ray gives its processes 15 seconds to start.
.venv/installed: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, but PYTHON=$(PYTHON) is older. Example: make train PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot create virtual environments. On Debian: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --no-compile --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -c 'import ray.dashboard.agent, rllib_ptm.algorithm'
	@touch $@
