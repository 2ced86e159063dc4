# Edgeloop. `make help` lists what there is; each target installs what it needs first.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PORT ?= 3000
REPORTS_PORT ?= 3001
DEVICES_PORT ?= 3002
MINUTES ?= 5
# A third of a test's time is spent waiting for a daemon, a page or a kill: half as many workers again as cores.
WORKERS ?= $(shell echo $$(( ($$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN) * 3 + 1) / 2 )))
export EDGELOOP_HOME ?= $(CURDIR)/.edgeloop
export DAGSTER_HOME := $(EDGELOOP_HOME)/dagster
# Dagster's own commands read its settings (telemetry off) from its home.
PREPARE_DAGSTER = mkdir -p '$(DAGSTER_HOME)' && cp infra/dagster.yaml '$(DAGSTER_HOME)/dagster.yaml'

.PHONY: help install demo ui line test check bench bench-data bench-train bench-fuzz bench-mutations nightly clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## create .venv with the pinned packages

$(STAMP): pyproject.toml edge/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Edgeloop needs Python 3.11 to 3.13; say make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ./edge -e '.[dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt timm
	@touch $@

demo: $(STAMP) ## close the whole loop on handwritten digits: three batches, a daemon, a device
	@$(BIN)/edgeloop demo

ui: $(STAMP) ## Dagster UI, reports and device gateway over the demo's state (PORT, REPORTS_PORT, DEVICES_PORT)
	@$(BIN)/edgeloop ui --port $(PORT) --reports-port $(REPORTS_PORT) --devices-port $(DEVICES_PORT)

line: $(STAMP) ## scaffold a line, e.g. NAME=my-line ARGS='--classes cat,dog' (ARGS=--help lists all)
ifneq ($(filter -h --help,$(ARGS)),)
	@$(BIN)/python -W ignore -c 'from platform_defs.components.scaffolder import options_text; print(options_text())'
else
	@test -n '$(NAME)' || { echo "say make line NAME=my-line ARGS='--classes cat,dog'; make line ARGS=--help lists what ARGS may say"; exit 2; }
	@$(PREPARE_DAGSTER)
	@$(BIN)/dg scaffold defs platform_defs.components.ModelLine '$(NAME)' $(ARGS)
endif

test: $(STAMP) ## run the tests, on all cores
	$(BIN)/python -m pytest -q -m 'not nightly' -n $(WORKERS) --dist loadfile --no-loadscope-reorder

nightly: $(STAMP) ## run the slow tests too
	$(BIN)/python -m pytest -q

check: $(STAMP) ## lint, types, import arrows, every line's YAML, the code location
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_house.py
	$(BIN)/edgeloop lines --check
	@$(PREPARE_DAGSTER)
	$(BIN)/dg check toml
	$(BIN)/dg check defs
	$(BIN)/dagster definitions validate -w workspace.yaml

bench: $(STAMP) ## measure what is claimed, e.g. BENCH=loading; prints tables, writes .edgeloop/bench/
	$(BIN)/python -m tests.benchmarks $(BENCH)

bench-data: $(STAMP) ## what landing and the gate cost and find, e.g. PARTS='suite pictures'; writes .edgeloop/bench/data.json
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -W ignore -m tests.benchmarks.data $(PARTS)

bench-train: $(STAMP) ## train every line on real data, e.g. LINES=cifar10 SEEDS=3 PARTS=lines; writes .edgeloop/bench/train.json
	$(BIN)/python -W ignore -m tests.benchmarks.train $(if $(LINES),--lines $(LINES)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(PARTS),--parts $(PARTS))

bench-compress: $(STAMP) ## our front against other tools, e.g. DATA=cifar10 PARTS=dialects MINUTES=small; writes .edgeloop/bench/compress.json
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench-compress]'
	$(BIN)/python -W ignore -m tests.benchmarks.compress $(if $(DATA),--data $(DATA)) $(if $(PARTS),--parts $(PARTS)) $(if $(filter small,$(MINUTES)),--minutes small)

bench-fuzz: $(STAMP) ## break files at random and read them, for MINUTES=5
	$(BIN)/python -W ignore -m tests.benchmarks.fuzz --minutes $(MINUTES)

bench-mutations: $(STAMP) ## break 1,000 ONNX files, fixed seed, and follow each until refused or built, e.g. FILES=100; writes .edgeloop/bench/mutations.json
	$(BIN)/python -W ignore -m tests.benchmarks.mutations $(if $(FILES),--files $(FILES))

clean: ## remove the state and the caches, keep .venv
	rm -rf .edgeloop .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -type d -prune -exec rm -rf {} +
