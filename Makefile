# Every habit of this project. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
UV ?= uv
PYTEST_ARGS ?=
PYTEST_JOBS ?= 2
BENCH_ARGS ?=

KERNEL_SOURCES := kernels/CMakeLists.txt $(wildcard kernels/src/* kernels/bind/* kernels/include/mpc_kernels/*)

.PHONY: help setup demo test test-slow test-native check bench docs lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: .venv/.installed ## .venv with the locked dependencies and the native kernels; nothing when that is done

.venv/.dependencies: requirements.lock
	@.ci/setup dependencies
	@touch $@

.venv/.installed: .venv/.dependencies pyproject.toml mpc_engine/_version.py $(KERNEL_SOURCES)
	@.ci/setup project
	@touch $@

demo: setup ## the joint credit-risk example, three parties on real data
	@$(BIN)/mpc-engine demo

test: check ## make check, then every test that is not slow; those that start processes with Ray one at a time
	$(BIN)/python -m pytest -m "not slow and not ray" -n $(PYTEST_JOBS) --dist worksteal $(PYTEST_ARGS)
	$(BIN)/python -m pytest -m "not slow and ray" tests $(PYTEST_ARGS)

test-slow: setup ## the tests marked slow
	$(BIN)/python -m pytest -m slow -o faulthandler_timeout=14400 $(PYTEST_ARGS)

test-native: setup ## the C++ tests of the kernels under the address and undefined-behaviour sanitizers
	@PATH="$(CURDIR)/$(BIN):$$PATH"; \
	cmake -S kernels -B build/sanitize -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMPC_KERNELS_PYTHON=OFF \
	  -DMPC_KERNELS_TESTS=ON -DMPC_KERNELS_SANITIZE=address,undefined > /dev/null; \
	cmake --build build/sanitize; \
	ctest --test-dir build/sanitize --output-on-failure

check: setup ## ruff, mypy and the import contracts (doctests are part of make test)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup ## the kernels against numpy, and a joint query of 100,000 rows a side
	$(BIN)/python bench/kernels.py $(BENCH_ARGS)
	$(BIN)/mpc-engine bench query --rows 100000

docs: setup ## the documentation, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lock: ## resolve requirements.lock again after a change of dependencies in pyproject.toml (needs uv)
	$(UV) pip compile pyproject.toml --group dev --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --quiet --output-file requirements.lock

clean: ## remove everything that was built, .venv too
	rm -rf .venv build dist site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
