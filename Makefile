# Everything a person needs; `make` alone lists it. Works from a bare clone with Python 3.11 to 3.13 and make.

VENV := .venv
CONSTRAINTS := constraints.txt
BIN := $(VENV)/bin
# The first interpreter that really is 3.11 to 3.13; override with `make run PYTHON=/path/to/python`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1 && { echo $$p; break; }; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.PHONY: help run test test-slow test-lowest lint format bench bench-layer viz mlflow docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.run ## install what is missing and run the default experiment (digits; minutes)
	$(BIN)/kedro run $(ARGS)

# Each of the two processes has a core: with more threads they wait for each other most of the time.
test test-slow test-lowest: export OMP_NUM_THREADS := 1

test: lint ## lint, types, import contracts and the fast tests
	$(BIN)/python -m pytest -n 2 $(ARGS)

test-slow: $(VENV)/.dev ## only the slow tests (kill -9 and resume, pairs of runs at once, every network of torchvision)
	$(BIN)/python -m pytest -m slow -n 2 --dist worksteal --timeout 3000 $(ARGS)

test-lowest: ## the fast tests with the lowest versions that pyproject.toml allows, in an environment of its own
	$(MAKE) VENV=.venv-lowest CONSTRAINTS=constraints-lowest.txt .venv-lowest/.dev
	.venv-lowest/bin/python -m pytest -n 2 $(ARGS)

lint: $(VENV)/.dev ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## let ruff rewrite the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.run ## measure the training loop against a bare step and the classic loop
	$(BIN)/python -m benchmarks.speed.training_loop

bench-layer: $(VENV)/.run ## measure ResNet-56 without 12 blocks against the dense network (minutes)
	$(BIN)/python -m benchmarks.layers.tickets $(ARGS)

viz: $(VENV)/.run ## open the pipeline in kedro-viz
	$(BIN)/kedro viz run

mlflow: $(VENV)/.run ## open the history of runs in MLflow at port 5000
	$(BIN)/mlflow server --backend-store-uri sqlite:///mlflow.db --port 5000

docs: $(VENV)/.docs ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "site/index.html is the first page; to search, serve it: $(BIN)/python -m http.server --directory site"

clean: ## remove the environment and caches; data and results stay
	rm -rf $(VENV) .venv-lowest build site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .viz src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python from 3.11 to 3.13 found; install one or run make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp is newer than pyproject.toml and the constraints once its extra is installed, so nothing is installed twice.
# A run wants kedro-viz, whose hook notes the statistics of tables that its page shows.
$(VENV)/.run: EXTRA := [viz]
$(VENV)/.dev: EXTRA := [dev]
$(VENV)/.docs: EXTRA := [docs]
$(VENV)/.run $(VENV)/.dev $(VENV)/.docs: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(PIP) install --quiet --constraint $(CONSTRAINTS) --editable ".$(EXTRA)"
	@touch $@
