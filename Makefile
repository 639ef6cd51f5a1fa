# The words that matter: up, test, check. Bare `make` prints them all.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup test check fmt lint types contracts wheel clean

help: ## print these words
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/.installed ## make the virtual environment with everything in it

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("agents-core needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "python3-venv is missing: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[server]' --group dev
	@touch $@

test: setup ## run every test, with coverage of the core
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage report

check: setup lint types contracts ## format, lint, types, import contracts and the fast tests
	$(BIN)/pytest -q tests/core

lint: setup ## check format and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup ## check the types
	$(BIN)/mypy

contracts: setup ## check who imports whom
	$(BIN)/lint-imports

fmt: setup ## format, and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

wheel: setup ## build the wheel into dist/
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## remove what the other words made
	rm -rf $(VENV) .agents dist build .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
