# Everything a person does with a checkout. `make` alone lists it.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

VENV := .venv
BIN := $(VENV)/bin
# Written when the last step of the installation has succeeded; older than these files means: install again.
STAMP := $(VENV)/installed
# Tests that share an Airflow or a cluster stay together (see tests/conftest.py).
PYTEST := $(BIN)/pytest --numprocesses 2 --no-loadscope-reorder --cov --cov-report=term

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: system
system:
	@bash tools/install.sh system

$(STAMP): pyproject.toml constraints.txt tools/install.sh | system
	@bash tools/install.sh python
	@touch $@

.PHONY: install
install: system $(STAMP) ## Set up .venv with everything; on Debian as root also Nix and what Python lacks

.PHONY: demo
demo: install ## Build the example lab, run it in an Airflow of its own, show the results
	@$(BIN)/python -m tools.demo start

.PHONY: stop
stop: ## End everything that the demo has started
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m tools.demo stop; else echo "Nothing is installed, so nothing runs."; fi

.PHONY: lint
lint: install ## Check style, types and the floors' imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p airflow_provider_repx -p tools
	$(BIN)/lint-imports

.PHONY: tools-of-tests
tools-of-tests:
	@bash tools/install.sh tests

.PHONY: test
test: tools-of-tests lint ## Check everything, with the tests that end within 15 minutes on two cores
	$(PYTEST) -m "not full"

.PHONY: test-full
test-full: tools-of-tests lint ## Check everything, with the tests that take long
	$(PYTEST)

.PHONY: clean
clean: stop ## Remove the demo with its results, caches and build products; .venv stays
	@# A Nix store is read-only, also for its owner.
	@if [ -d .demo ]; then chmod -R u+w .demo; fi
	rm -rf .demo dist build .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
