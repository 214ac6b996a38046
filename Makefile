# make            this list
# make demo       environment, then the whole path on the demo chain; leaves a report to open
# make test       environment, then the tests
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Installed packages, and everything that decides which: remade only when one of these changes.
STAMP := $(VENV)/.installed
ISSUE ?= spine
JOBS ?= auto

help: ## print this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(STAMP): pyproject.toml constraints.txt scripts/prerequisites.py
	@$(PYTHON) scripts/prerequisites.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing shelfcast into $(VENV); this happens once."
	@# PyTorch first: anything later that needs it then takes this build.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

setup: $(STAMP) ## make the environment in .venv

demo: $(STAMP) ## simulate a chain, check, clean, forecast, evaluate, report
	@$(BIN)/shelfcast demo --folder demo

test: $(STAMP) ## the tests, those on real sales included where ../shared/data exists
	@$(BIN)/python -m pytest -q -n $(JOBS) -m "not slow"

test-all: $(STAMP) ## also the slow exams
	@$(BIN)/python -m pytest -q -n $(JOBS)

check: $(STAMP) ## ruff, mypy, the architecture, generated docs are fresh
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_public_names.py
	@$(BIN)/python docs/make_reference.py --check

fmt: $(STAMP) ## mend what ruff can mend
	@$(BIN)/ruff check --fix .

docs: $(STAMP) ## write the generated parts of the docs again
	@$(BIN)/python docs/make_reference.py

bars: $(STAMP) ## measure the bars of an issue: make bars ISSUE=spine
	@$(BIN)/python benchmarks/bars.py $(ISSUE)

bench: $(STAMP) ## accuracy on the public sets, and growth with the number of series
	@$(BIN)/python benchmarks/spine_accuracy.py
	@$(BIN)/python benchmarks/scale.py

pretrain-check: $(STAMP) ## does pretraining work here: a toy network, two minutes, a falling loss and its skill
	@$(BIN)/python benchmarks/pretrain_check.py

system: ## what a test needs from the system (Debian, as root): OpenMP, PostgreSQL, Chromium
	@apt-get update -qq
	@DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends libgomp1 postgresql chromium fonts-dejavu-core > /dev/null

clean: ## remove what the targets above made
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis demo

.PHONY: help setup demo test test-all check fmt docs bars bench pretrain-check system clean
