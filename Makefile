# Everything that is typed here.  The first use of any target makes .venv; after that it starts at once.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test check static fix bench simulate long docs dist lock clean

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

# Options, as in `make simulate PROFILE=network SEEDS=20 SEED=7`.
WORKERS ?= 2
NAME ?= page
PROFILE ?= all
SEEDS ?= 20
SEED ?= 0
ARGS ?=

help: ## list the targets
	@awk -F'## ' '/^[a-z]+:.*## /{split($$1, target, ":"); printf "make %-9s %s\n", target[1], $$2}' Makefile

run: $(READY) ## four validators on this machine; Ctrl-C stops them, the next run continues the same chain
	@exec $(BIN)/cccnode testnet up -n 4 --home .demo $(ARGS)

test: $(READY) ## every test, with a fixed sample of each campaign (under 15 minutes on 2 cores)
	@exec $(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

check: static test ## what .ci/run runs: format, lint, types, layers, tests

static: $(READY) ## format, lint, types and layers only
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(READY) ## format, and mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## the kept results on one page; or one benchmark: make bench NAME=network
	@exec $(BIN)/python -m benchmarks $(NAME) --json $(ARGS)

simulate: $(READY) ## whole networks from seeds: make simulate PROFILE=consensus SEEDS=100 SEED=7
	@exec $(BIN)/python -m tests.simulation --profile $(PROFILE) --seeds $(SEEDS) --seed $(SEED) $(ARGS)

long: $(READY) ## the full counts and all benchmarks; resumable; writes benchmarks/results/*.json
	@exec $(BIN)/python -m tests.long $(ARGS)

docs: $(READY) ## write docs/en/reference.md and docs/th/errors.md anew from the code
	@exec $(BIN)/python -m tests.tidy.reference

dist: $(READY) ## source archive, wheel, hashed lock and bill of materials in dist/, tried in an empty environment
	@exec $(BIN)/python -m tests.dist

lock: $(READY) ## write constraints.txt anew from what .venv holds
	@{ sed -n '/^#/p' constraints.txt; \
	   $(BIN)/python -m pip freeze --all --exclude-editable --exclude pip --exclude wheel \
	     | sed -E 's/^plyvel==(.*)/plyvel==\1\nplyvel-ci==\1/'; } > constraints.new
	@mv constraints.new constraints.txt

clean: ## remove what building and testing left behind (.venv and .demo stay)
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# The stamp holds the folder it was made in: an environment that was moved or copied points elsewhere and is made anew.
ifneq ($(shell cat $(READY) 2>/dev/null),$(CURDIR))
.PHONY: $(READY)
endif

# PYTHON may name an interpreter; otherwise the first CPython 3.11 or 3.12 that can make an environment is taken.
$(READY): pyproject.toml constraints.txt setup.py $(wildcard cccnode/crypto/native/*.[ch])
	@if [ -L $(VENV) ]; then \
	  echo "$(VENV) is a link to $$(readlink $(VENV)): making it anew would empty what it links to." >&2; \
	  echo "Remove the link and try again:  rm $(VENV)" >&2; \
	  exit 1; \
	fi
	@fits='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))'; \
	made_in="$$(cat $(READY) 2>/dev/null || echo '$(CURDIR)')"; \
	if [ "$$made_in" != '$(CURDIR)' ] || ! $(BIN)/python -c "$$fits" 2>/dev/null; then \
	  chosen=; \
	  for python in $(PYTHON) python3 python3.12 python3.11 /usr/bin/python3; do \
	    if "$$python" -c "$$fits" 2>/dev/null; then chosen=$$python; break; fi; \
	  done; \
	  if [ -z "$$chosen" ]; then \
	    echo "cccnode needs CPython 3.11 or 3.12 with its venv module, and none was found." >&2; \
	    echo "On Debian 12 or Ubuntu 24.04:  sudo apt-get install python3-venv" >&2; \
	    echo "Another interpreter is named by:  make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
	    exit 1; \
	  fi; \
	  echo "Making $(VENV) with $$("$$chosen" --version); the first use takes a minute." >&2; \
	  "$$chosen" -m venv --clear $(VENV); \
	fi
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt setuptools
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  --no-build-isolation --editable '.[dev,postgres,speed]'
	@echo '$(CURDIR)' > $(READY)
