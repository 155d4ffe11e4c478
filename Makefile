# Every command a developer types. `make` alone lists them.
# Nothing here needs root, and nothing is installed outside .venv and node_modules.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory --no-builtin-rules

# PYTHON=/path/to/python3.12 make setup   chooses the interpreter; else the first that works, in this order
PYTHON_CANDIDATES := $(PYTHON) python3.12 python3.11 python3.13 python3.14 python3
VENV := .venv
RUN := $(VENV)/bin/python
WORKERS ?= 4
PEERS := bench/peers
# Without its peers, which are installed by their own command only, this one is left out.
BENCH ?= $(filter-out receiver $(if $(wildcard $(PEERS)/.venv/.ready),,deliver_with_peers),\
	$(patsubst bench/%.py,%,$(shell grep -l __main__ bench/*.py)))
LOCK := $(VENV)/bin/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--no-header --no-emit-index-url --no-annotate

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- what runs on a new machine --------------------------------------------------------------------------------

.PHONY: setup
setup: $(VENV)/.ready node_modules/.ready ## install everything, exactly as locked (quick when nothing changed)

$(VENV)/.ready: requirements-dev.lock pyproject.toml
	@python=""; \
	for candidate in $(PYTHON_CANDIDATES); do \
	  if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    python="$$candidate"; break; \
	  fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "chainbell needs Python 3.11 or newer with its venv module; none of these works: $(PYTHON_CANDIDATES)." >&2; \
	  echo "Debian and Ubuntu: apt-get install python3 python3-venv. Elsewhere: make setup PYTHON=/path/to/python3.12" >&2; \
	  exit 1; \
	fi; \
	if ! $(RUN) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  echo "python    $$("$$python" --version) in $(VENV)"; \
	  "$$python" -m venv --clear $(VENV); \
	fi
	@echo "packages  requirements-dev.lock, by hash"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-input --only-binary :all: \
	  --require-hashes -r requirements-dev.lock
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation --editable .
	@touch $@

node_modules/.ready: package-lock.json package.json .npmrc
	@if ! command -v npm >/dev/null; then \
	  echo "The demo and the tests run a local chain node (anvil), which npm installs; there is no npm here." >&2; \
	  echo "Debian and Ubuntu: apt-get install npm. Any version from 9 on will do." >&2; \
	  exit 1; \
	fi
	@if [ "$$(uname -s)-$$(uname -m)" != Linux-x86_64 ]; then \
	  echo "The locked anvil is built for Linux on x86-64. Here, put an anvil 1.7.1 on PATH; then: touch $@" >&2; \
	  exit 1; \
	fi
	@echo "node      package-lock.json, by hash"
	@npm ci --silent --ignore-scripts
	@touch $@

.PHONY: bitcoind
bitcoind: setup ## a bitcoind for the tests, from Debian's packages into .bitcoind (40 MB; nothing is installed)
	@$(RUN) -m tests.devnet.bitcoind_install

.PHONY: demo
demo: setup ## a local chain, a shop, signed webhooks, a reorg: the whole story (ONCE=1 ends after one pass, CHAIN=bitcoin plays it on regtest)
	@$(VENV)/bin/chainbell demo $(if $(CHAIN),--chain $(CHAIN)) $(if $(ONCE),--once)

# --- proof -----------------------------------------------------------------------------------------------------

# Images of Python like to set PYTHONDONTWRITEBYTECODE. Without what was compiled, every worker rewrites each assertion
# anew and every program that a test starts compiles the house.
.PHONY: test
test: setup ## every test, on real Postgres and a real node (ARGS="-k reorg" chooses, WORKERS=1 for one process)
	@unset PYTHONDONTWRITEBYTECODE; $(RUN) -m pytest --numprocesses $(WORKERS) --dist worksteal $(ARGS)

.PHONY: check
check: setup ## style, types, import contracts and house rules; no database, no node
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check --quiet .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --config pyproject.toml
	$(RUN) -m pytest --quiet tests/tidy

.PHONY: mutants
mutants: setup ## plant each known bug in a copy of the tree; the simulation or a test must catch every one
	@$(RUN) -m tests.mutants.plant $(ARGS)

.PHONY: mutate
mutate: setup ## break the decisions one small change at a time and list what no test notices (ARGS="relay.lanes.schedule")
	@$(RUN) -m tests.mutants $(ARGS)

.PHONY: simulate
simulate: setup ## a hundred thousand seeded schedules, 25,000 of each kind of chain, against the laws (ARGS="--schedules 2000" or "--replay SEED")
	@$(RUN) -m tests.simulation $(ARGS)

.PHONY: fuzz
fuzz: setup ## schemathesis against the API on a socket, for an hour (ARGS="--minutes 5 --seed 1")
	@$(RUN) -m tests.api.fuzz $(ARGS)

.PHONY: bench
bench: setup ## measure the hot paths, each against its floor (BENCH=follow_blocks chooses one)
	@for name in $(BENCH); do echo "== $$name"; $(RUN) -m bench.$$name $(ARGS); done

.PHONY: peers
peers: setup $(PEERS)/.venv/.ready $(PEERS)/node_modules/.ready ## install, below bench/peers, what the relay is measured beside

$(PEERS)/.venv/.ready: $(PEERS)/requirements.lock
	@echo "packages  $<, by hash"
	@$(RUN) -m venv --clear $(PEERS)/.venv
	@$(PEERS)/.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --only-binary :all: \
	  --require-hashes -r $<
	@touch $@

$(PEERS)/node_modules/.ready: $(PEERS)/package-lock.json $(PEERS)/package.json $(PEERS)/.npmrc
	@echo "node      $<, by hash"
	@cd $(PEERS) && npm ci --silent --ignore-scripts
	@touch $@

.PHONY: format
format: setup ## rewrite the code as `make check` wants it
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# --- files that are written by a program and kept in the tree --------------------------------------------------

.PHONY: lock
lock: $(VENV)/.ready ## resolve everything that is declared again into the lock files (UPGRADE=1 takes newer versions)
	$(LOCK) pyproject.toml $(if $(UPGRADE),--upgrade) --output-file requirements.lock
	$(LOCK) pyproject.toml $(if $(UPGRADE),--upgrade) --extra dev --output-file requirements-dev.lock
	$(LOCK) $(PEERS)/requirements.in $(if $(UPGRADE),--upgrade) --constraint requirements.lock \
	  --output-file $(PEERS)/requirements.lock
	npm install --package-lock-only --ignore-scripts --silent
	cd $(PEERS) && npm install --package-lock-only --ignore-scripts --silent

.PHONY: schema
schema: $(VENV)/.ready ## write tests/database/schema.sql, the golden schema, from the migrations
	$(RUN) -m tests.database.golden --write

.PHONY: openapi
openapi: $(VENV)/.ready ## write gateway/http/openapi.json, the golden description of the API
	$(RUN) -m gateway.http.openapi --write

.PHONY: clean
clean: ## remove what tools left behind; .venv and node_modules too
	rm -rf $(VENV) node_modules $(PEERS)/.venv $(PEERS)/node_modules dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
