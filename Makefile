# make demo: install, fit on real data, look at the result.   make test: install and check.
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell \
	$(p) -c 'import sys, ensurepip; print(sys.executable if (3, 11) <= sys.version_info < (3, 14) else "")' 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: demo test lint bench test-slow clean

demo: $(VENV)/.demo
	$(BIN)/refold demo --output $(DEMO)

test: $(VENV)/.test
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks

test-slow: $(VENV)/.backends
	$(BIN)/python -m pytest -m slow

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "refold needs Python 3.11, 3.12 or 3.13 with the venv module (Debian: python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[plots]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[plots]' --group test
	@touch $@

$(VENV)/.lint: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[plots]' --group test --group lint
	@touch $@

$(VENV)/.backends: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[plots]' --group test --group backends
	@touch $@

clean:
	rm -rf $(VENV) $(DEMO) build dist .pytest_cache .ruff_cache
