# make demo: install, fit on real data, look at the result.   make test: install and check.
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell \
	$(p) -c 'import sys, ensurepip; print(sys.executable if (3, 11) <= sys.version_info < (3, 14) else "")' 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
LIBRARY := src/refold/kernels/librefold_kernels.*

.PHONY: demo test lint bench bench-fidelity test-slow clean

demo: $(VENV)/.refold
	$(BIN)/refold demo --output $(DEMO)

test: $(VENV)/.test
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

bench: $(VENV)/.peers
	$(BIN)/python -m benchmarks

bench-fidelity: $(VENV)/.peers
	$(BIN)/python -m benchmarks.fidelity

test-slow: $(VENV)/.backends
	$(BIN)/python -m pytest -m slow

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "refold needs Python 3.11, 3.12 or 3.13 with the venv module (Debian: python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

# The package, with the library of refold.kernels; built again when their sources change.
$(VENV)/.refold: pyproject.toml CMakeLists.txt $(wildcard src/refold/kernels/cpp/*) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[plots]'
	@ls $(LIBRARY) >/dev/null 2>&1 || \
		echo "refold is installed without its LSTM kernel: see docs/installation.md"
	@touch $@

$(VENV)/.test: $(VENV)/.refold
	$(BIN)/python -m pip install --quiet --group test
	@touch $@

$(VENV)/.lint: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --group lint
	@touch $@

$(VENV)/.backends: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --group backends
	@touch $@

$(VENV)/.peers: $(VENV)/.backends
	$(BIN)/python -m pip install --quiet --group peers
	@touch $@

clean:
	rm -rf $(VENV) $(DEMO) build dist .jax_cache .pytest_cache .ruff_cache $(LIBRARY)
