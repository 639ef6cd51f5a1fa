# The words that matter: up, test, check. Bare `make` prints them all.
PYTHON ?= python3
ARGS ?= --example wordcount
SECONDS ?= 600
PROCESSES ?= 2
VENV := .venv
BIN := $(VENV)/bin
PYODIDE := web/node_modules/pyodide/package.json
PYODIDE_029 := build/pyodide-0.29/node_modules/pyodide/package.json
NATS_JS := tests/interop/node_modules/@nats-io/nats-core/package.json
TYPESCRIPT := tests/browser/node_modules/typescript/package.json
SOURCES := $(shell find agents_core browser/agents_browser server/agents_server -name '*.py' 2>/dev/null)
WHEEL := dist/.agents_core
SNAPSHOT := build/.snapshot
MICROPIP := dist/micropip-0.11.1-py3-none-any.whl
HYPOTHESIS := build/pyodide/.hypothesis
NOTEBOOK := examples/jupyterlite/agents.ipynb
JUPYTERLITE := build/jupyterlite/.built
# A second Python for the core's tests, if there is one: on the PATH, or one of pyenv's.
PYTHON313 := $(shell python3.13 -c '' 2>/dev/null && echo python3.13 || ls $$HOME/.pyenv/versions/3.13.*/bin/python 2>/dev/null | tail -1)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help up setup test check bench fuzz fmt lint types contracts test313 peers313 wheel browser clean

help: ## print these words
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

up: setup $(WHEEL) $(MICROPIP) $(PYODIDE) $(SNAPSHOT) ## start everything and print the page's address; ARGS="--no-nats …"
	@exec $(BIN)/agents up $(ARGS)

setup: $(VENV)/.installed ## make the virtual environment with everything in it

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("agents-core needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "python3-venv is missing: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[server]' --group dev
	@touch $@

$(PYODIDE): web/package.json
	@command -v npm >/dev/null || { echo "npm is missing: apt-get install npm; or run: $(BIN)/agents up --pyodide-url URL"; exit 1; }
	cd web && npm install --silent --no-package-lock --ignore-scripts --no-audit --no-fund
	@touch $@

# The Pyodide before, on CPython 3.13: the event loop is tested in both.
$(PYODIDE_029):
	npm install --silent --no-save --no-package-lock --ignore-scripts --no-audit --no-fund \
	  --prefix build/pyodide-0.29 pyodide@0.29.5
	@touch $@

# The other clients that ours has to understand.
$(NATS_JS): tests/interop/package.json
	@command -v npm >/dev/null || { echo "npm is missing: apt-get install npm"; exit 1; }
	cd tests/interop && npm install --silent --no-package-lock --ignore-scripts --no-audit --no-fund
	@touch $@

# What the tests of pages need: TypeScript, which checks types, and PyScript, for its example.
$(TYPESCRIPT): tests/browser/package.json
	@command -v npm >/dev/null || { echo "npm is missing: apt-get install npm"; exit 1; }
	cd tests/browser && npm install --silent --no-package-lock --ignore-scripts --no-audit --no-fund
	@touch $@

wheel: $(WHEEL) $(if $(shell command -v npm),$(SNAPSHOT)) ## build the wheel into dist/, and a snapshot of Pyodide with it

$(WHEEL): pyproject.toml README.md $(SOURCES) | $(VENV)/.installed
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	@touch $@

$(SNAPSHOT): $(WHEEL) $(PYODIDE) web/snapshot.mjs web/wheel.mjs web/node/take_snapshot.mjs | $(MICROPIP)
	$(BIN)/python -m agents_server.build
	@! ls build/snapshots/*.bin >/dev/null 2>&1 || touch $@  # else try again, with another Node

$(MICROPIP): | $(VENV)/.installed
	$(BIN)/pip download --quiet --no-deps --only-binary=:all: --python-version 3.14 --dest dist micropip==0.11.1

# Hypothesis has a part in machine code; for the tests inside Pyodide it comes as a wheel for Pyodide.
$(HYPOTHESIS): $(VENV)/.installed
	rm -rf build/pyodide
	$(BIN)/pip download --quiet --no-deps --only-binary=:all: --dest build/pyodide \
	  --platform pyemscripten_2026_0_wasm32 --python-version 3.14 --implementation cp --abi cp314 \
	  hypothesis==$$($(BIN)/python -c 'import hypothesis; print(hypothesis.__version__)')
	@touch $@

# A JupyterLite site for the test of the notebook, with everything that its kernel loads.
$(JUPYTERLITE): $(WHEEL) $(PYODIDE) $(NOTEBOOK) tests/browser/jupyterlite.py
	$(BIN)/pip install --quiet --group notebook
	$(BIN)/python -m tests.browser.jupyterlite
	@touch $@

browser: setup ## find or install the browsers that the tests drive
	@$(BIN)/python -m tests.browser.chromium
	@$(BIN)/python -m tests.browser.firefox

test: setup browser test313 $(WHEEL) $(MICROPIP) $(PYODIDE) $(SNAPSHOT) $(PYODIDE_029) $(HYPOTHESIS) $(NATS_JS) $(TYPESCRIPT) $(JUPYTERLITE) ## run every test, with coverage of the core
	$(BIN)/pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder --cov

ifeq ($(PYTHON313),)
test313:
	@echo "no Python 3.13 here: the core's tests run on $(PYTHON) and in the browser only"

peers313:
	@echo "no Python 3.13 here: natsio and nats-core are not measured"
else
test313: .venv-3.13/.installed
	.venv-3.13/bin/python -m pytest -q -n $(PROCESSES) tests/core tests/contract

.venv-3.13/.installed: pyproject.toml Makefile
	$(PYTHON313) -m venv .venv-3.13
	.venv-3.13/bin/pip install --quiet --upgrade pip
	.venv-3.13/bin/pip install --quiet --editable '.[server]' pytest pytest-xdist hypothesis
	@touch $@

peers313: .venv-3.13/.peers

.venv-3.13/.peers: .venv-3.13/.installed
	.venv-3.13/bin/pip install --quiet --group peers
	@touch $@
endif

check: setup lint types contracts ## format, lint, types, import contracts and the fast tests
	$(BIN)/pytest -q tests/core

bench: setup browser peers313 $(WHEEL) $(MICROPIP) $(PYODIDE) $(SNAPSHOT) $(NATS_JS) ## measure: a table, and JSON
	$(BIN)/python -m benchmarks

fuzz: setup ## look for bytes that the parser reads wrongly, for SECONDS=600
	$(BIN)/python -m tests.fuzz $(SECONDS)

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

clean: ## remove what the other words made
	rm -rf $(VENV) .venv-3.13 .agents dist build web/node_modules tests/interop/node_modules tests/browser/node_modules .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
