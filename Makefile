# Needs Python 3.11 or later, make and git. `make` alone lists the targets.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup setup-dev run test bench-leaderboard bench-decide bench-usage crash-test check format openapi lock

BIN := .venv/bin
PYTHON := $(BIN)/python
PIP := $(PYTHON) -m pip --disable-pip-version-check --no-input install --quiet --require-hashes

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' Makefile

setup: .venv/installed ## Create .venv with what the product needs

setup-dev: .venv/installed-dev ## Add what building, checking and testing needs

run: setup ## Serve on http://localhost:8000 (PORT=... changes it), Ctrl-C ends it
	@exec $(PYTHON) manage.py run_embedded

test: setup-dev ## Run every test, embedded and production-like (ARGS="-k name" goes to pytest)
	@exec $(PYTHON) scripts/run_tests.py $(ARGS)

bench-leaderboard: setup-dev ## Measure ingestion, publishing and the leaderboard at size
	@exec $(PYTHON) scripts/bench_leaderboard.py

bench-decide: setup-dev ## Measure one decision of the engine
	@exec $(PYTHON) scripts/bench_decide.py

crash-test: setup-dev ## Kill worker, Redis and PostgreSQL at full speed and look for losses
	@exec $(PYTHON) scripts/crash_test.py $(ARGS)

bench-usage: setup-dev ## Measure the record and the pages of usage at 10 million events (half an hour, 40 GB of disk)
	@exec $(PYTHON) scripts/bench_usage.py $(ARGS)

check: setup-dev ## Run every linter and consistency check
	@exec $(PYTHON) scripts/check.py

format: setup-dev ## Format Python and templates
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	$(BIN)/djlint --reformat --quiet templates || true

openapi: setup-dev ## Write docs/openapi.yaml anew
	$(PYTHON) manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

lock: setup-dev ## Pin requirements*.txt from requirements*.in (LOCK_ARGS=--upgrade for newer versions)
	$(BIN)/uv pip compile $(LOCK) $(LOCK_ARGS) requirements-dev.in -o requirements-dev.txt
	$(BIN)/uv pip compile $(LOCK) $(LOCK_ARGS) -c requirements-dev.txt requirements.in -o requirements.txt

LOCK := --quiet --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header

# The files .venv/installed* are newer than the requirements that were installed last.
.venv/installed: requirements.txt | $(PYTHON)
	@echo "Installing requirements.txt into .venv (only when it changed)"
	@$(PIP) -r requirements.txt
	@touch $@

# requirements-dev.txt holds all of requirements.txt at the same versions.
.venv/installed-dev: requirements-dev.txt requirements.txt | $(PYTHON)
	@echo "Installing requirements-dev.txt into .venv (only when it changed)"
	@$(PIP) -r requirements-dev.txt
	@touch .venv/installed $@

$(PYTHON):
	@sh scripts/make_venv.sh .venv
