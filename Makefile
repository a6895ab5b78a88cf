# make demo: install, fit on real data, look at the result.   make test: install and check.
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell \
	$(p) -c 'import sys, ensurepip; print(sys.executable if (3, 11) <= sys.version_info < (3, 14) else "")' 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
OLDEST := .venv-oldest
DEMO := demo
LIBRARY := src/refold/kernels/librefold_kernels.*
CPP := src/refold/kernels/cpp
# A variable, because $(call) would read its comma as the end of an argument.
PACKAGE := .[plots,serve]
# uv needs half of the time. pip is tried if uv cannot reach the package index.
UV := UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=true $(BIN)/uv
TOOL := $(UV) tool run --quiet
# An environment with the packages that users install.
USERS := .venv-users
install = $(UV) pip install --quiet --python $(BIN)/python $(1) || \
	$(BIN)/python -m pip install --quiet $(1)

# The same, and shows what is downloaded and built, one line each, on any output. The status of a pipe
# is that of its end, so a file says whether the installation succeeded.
shown_install = { $(UV) pip install --python $(BIN)/python $(1) && touch $(VENV)/.done; } 2>&1 | \
	sed -u -e '/^ [-+~] /d' -e '/^ Downloaded/d' -e '/^Using Python/d' -e 's/^/    /'; \
	rm $(VENV)/.done 2>/dev/null || { echo "    uv failed, so pip installs: it shows no progress"; \
	$(BIN)/python -m pip install --quiet $(1); }

.PHONY: demo test coverage lint docs bench bench-fidelity test-slow audit dist sbom version clean

demo: $(VENV)/.refold
	@echo "Fitting models of two data sets and writing a page about them in $(DEMO)/"
	@$(BIN)/refold demo --output $(DEMO)

test: $(VENV)/.test
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

# Covered lines and branches of each room; coverage.json has those of each file.
coverage: $(VENV)/.coverage
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal \
		--cov --cov-report=json --cov-report=
	$(BIN)/python scripts/coverage_by_room.py coverage.json

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright
	$(BIN)/pyright --project pyright-strict.json
	$(BIN)/clang-format --dry-run --Werror $(CPP)/*.cpp $(CPP)/*.h
	$(BIN)/clang-tidy --quiet $(CPP)/dispatch.cpp $(CPP)/interface.cpp $(CPP)/lstm.cpp -- \
		-std=c++17 -DREFOLD_VARIANT=baseline
	$(BIN)/oxlint src/refold
	$(BIN)/oxfmt --check 'src/refold/**/*.js'

# The documentation site in site/. It is built from the sources, without installing Refold.
docs: $(VENV)/.docs
	$(BIN)/python scripts/build_site.py

# The benchmarks that need neither hours nor a cluster.
BENCHMARKS = first_path forecasting inference lstm missing pretrained probe serve training

bench: $(VENV)/.peers
	set -e; for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name; done

bench-fidelity: $(VENV)/.peers
	$(BIN)/python -m benchmarks.fidelity

# Sanitizers, killed trainings, other backends, full documentation pages, the oldest versions, the
# coverage, and the licenses and vulnerabilities of dependencies.
test-slow: $(VENV)/.backends $(OLDEST)/.test
	$(BIN)/python -m pytest -m slow
	$(OLDEST)/bin/python -m pytest -p no:cacheprovider -W default tests/kernels/test_fused_lstm.py \
		tests/network/keras tests/network/packed tests/training tests/model \
		tests/files/test_read_write.py tests/test_estimator.py tests/cli/test_codes.py \
		--ignore tests/model/test_frames.py --ignore tests/model/test_pretrained.py
	$(MAKE) coverage
	$(MAKE) audit

# Licenses of the packages that users install (pyproject.toml lists those that are allowed), and
# their known vulnerabilities. pip-audit writes its file if it finds one or skips a package.
audit: $(USERS)/.installed
	@mkdir -p dist && rm -f dist/vulnerabilities.txt
	$(TOOL) 'pip-licenses>=5.5' --python $(USERS)/bin/python --output-file dist/licenses.md
	$(TOOL) 'pip-audit>=2.9' --path $(USERS)/lib/python3*/site-packages --progress-spinner off \
		--output dist/vulnerabilities.txt || { ! cat dist/vulnerabilities.txt 2>/dev/null && \
		echo "pip-audit did not reach its service, so vulnerabilities are unknown."; }
	@count=$$(grep -sc 'could not be audited' dist/vulnerabilities.txt); test $${count:-0} = 0 || \
		echo "pip-audit could not check $$count packages: see dist/vulnerabilities.txt."

# The sdist, and the wheel for machines for which there is none with the kernel.
dist: | $(BIN)/python
	rm -rf dist
	$(UV) build --quiet --sdist
	$(UV) build --quiet --wheel --config-setting wheel.cmake=false dist/refold-*.tar.gz
	$(TOOL) 'twine>=6' check --strict dist/*

# The packages that users install, with their versions and licenses, in CycloneDX's format.
sbom: $(USERS)/.installed
	@mkdir -p dist
	$(TOOL) --from 'cyclonedx-bom>=7' cyclonedx-py environment --pyproject pyproject.toml \
		--mc-type library --output-reproducible --output-file dist/sbom.cdx.json $(USERS)/bin/python

# make version VERSION=0.2.0: set the version in all files, date the changelog, commit and tag.
version: | $(BIN)/python
	test -n '$(VERSION)' && test -z "$$(git status --porcelain)" && ! git tag | grep -qx 'v$(VERSION)'
	$(TOOL) 'bump-my-version>=1.2' replace --new-version $(VERSION)
	git commit --quiet --all --message 'Version $(VERSION)'
	git tag --annotate --message 'Refold $(VERSION)' v$(VERSION)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "refold needs Python 3.11, 3.12 or 3.13 with the venv module (Debian: python3-venv)"; exit 1; }
	@echo "Creating an environment in $(VENV)/ with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@echo "Installing pip and uv, which install the rest"
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' 'uv>=0.13'

# The package with the library of refold.kernels. It is built again when the sources change.
$(VENV)/.refold: pyproject.toml CMakeLists.txt $(wildcard src/refold/kernels/cpp/*) | $(BIN)/python
	@echo "Installing Refold and what it needs into $(VENV)/: about two minutes"
	@$(call shown_install,--editable '$(PACKAGE)')
	@ls $(LIBRARY) >/dev/null 2>&1 || \
		echo "refold is installed without its LSTM kernel: see docs/how-to/installation.md"
	@touch $@

$(VENV)/.test: $(VENV)/.refold
	$(call install,--group test)
	@touch $@

$(VENV)/.coverage: $(VENV)/.test
	$(call install,--group coverage)
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

$(USERS)/.installed: pyproject.toml | $(BIN)/python
	$(UV) venv --quiet --clear --python $(BIN)/python $(USERS)
	$(UV) pip install --quiet --python $(USERS)/bin/python --requirement pyproject.toml --all-extras
	@touch $@

$(VENV)/.peers: $(VENV)/.backends
	$(call install,--group peers)
	@touch $@

clean:
	rm -rf $(VENV) $(OLDEST) $(USERS) $(DEMO) site build dist .jax_cache .pytest_cache .ruff_cache $(LIBRARY)
