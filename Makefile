# make demo: install, fit on real data, look at the result.   make test: install and check.
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell \
	$(p) -c 'import sys, ensurepip; print(sys.executable if (3, 11) <= sys.version_info < (3, 14) else "")' 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
OLDEST := .venv-oldest
DEMO := demo
LIBRARY := src/refold/kernels/librefold_kernels.*
# A variable, because $(call) would read its comma as the end of an argument.
PACKAGE := .[plots,serve]
# uv needs half of the time. pip is tried if uv cannot reach the package index.
UV := UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=true $(BIN)/uv
install = $(UV) pip install --quiet --python $(BIN)/python $(1) || \
	$(BIN)/python -m pip install --quiet $(1)

.PHONY: demo test lint docs bench bench-fidelity test-slow clean

demo: $(VENV)/.refold
	$(BIN)/refold demo --output $(DEMO)

test: $(VENV)/.test
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

# The documentation site in site/. It is built from the sources, without installing Refold.
docs: $(VENV)/.docs
	$(BIN)/python scripts/build_site.py

bench: $(VENV)/.peers
	$(BIN)/python -m benchmarks

bench-fidelity: $(VENV)/.peers
	$(BIN)/python -m benchmarks.fidelity

# Sanitizers, killed trainings, other backends, full documentation pages, and the oldest versions.
test-slow: $(VENV)/.backends $(VENV)/.docs $(OLDEST)/.test
	$(BIN)/python -m pytest -m slow
	$(OLDEST)/bin/python -m pytest -p no:cacheprovider -W default tests/kernels/test_fused_lstm.py \
		tests/layers tests/models tests/training tests/storage tests/sequences/files/test_read_write.py \
		tests/test_estimator.py tests/cli/test_path.py

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "refold needs Python 3.11, 3.12 or 3.13 with the venv module (Debian: python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' 'uv>=0.13'

# The package with the library of refold.kernels. It is built again when the sources change.
$(VENV)/.refold: pyproject.toml CMakeLists.txt $(wildcard src/refold/kernels/cpp/*) | $(BIN)/python
	$(call install,--editable '$(PACKAGE)')
	@ls $(LIBRARY) >/dev/null 2>&1 || \
		echo "refold is installed without its LSTM kernel: see docs/how-to/installation.md"
	@touch $@

$(VENV)/.test: $(VENV)/.refold
	$(call install,--group test)
	@touch $@

$(VENV)/.lint: $(VENV)/.test
	$(call install,--group lint)
	@touch $@

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	$(call install,--group docs)
	@touch $@

$(VENV)/.backends: $(VENV)/.test
	$(call install,--group backends)
	@touch $@

# The oldest versions that pyproject.toml allows, on the oldest Python.
$(OLDEST)/.test: pyproject.toml | $(VENV)/.refold
	$(UV) venv --quiet --clear --python 3.11 $(OLDEST)
	$(UV) pip install --quiet --python $(OLDEST)/bin/python --resolution lowest-direct \
		--editable '.[plots]' --group oldest
	@touch $@

$(VENV)/.peers: $(VENV)/.backends
	$(call install,--group peers)
	@touch $@

clean:
	rm -rf $(VENV) $(OLDEST) $(DEMO) site build dist .jax_cache .pytest_cache .ruff_cache $(LIBRARY)
