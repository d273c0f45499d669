# make demo | test | lint | bench | build | clean
# Everything happens in .venv/; a second run reuses what stands.
PYTHON ?= python3
TORCH := 2.13.0
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

NATIVE := CMakeLists.txt pyproject.toml $(wildcard build_backend/*.py) \
	$(wildcard python/charon/native/*.* python/charon/native/*/*.* lammps_plugin/*.*)
CXX_FILES := $(filter %.cpp %.h,$(NATIVE))

.PHONY: demo test lint bench build clean
.DELETE_ON_ERROR:

demo: build
	$(BIN)/python examples/demo.py

test: build
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8

lint: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(CXX_FILES)

bench: build
	$(BIN)/python -m pytest tests/benchmarks -o python_files='bench_*.py' -s -q

build: $(VENV)/.built

clean:
	rm -rf $(VENV) build demo .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@for tool in cmake make c++; do command -v $$tool > /dev/null || \
	  { echo "make: $$tool is missing; on Debian: apt install cmake make g++"; exit 1; }; done
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: Charon needs Python 3.11 or newer; found `$(PYTHON) --version`"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "make: $(PYTHON) cannot make virtual environments; on Debian: apt install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.torch: $(VENV)/.created
	@echo "installing torch $(TORCH)"
	@$(PIP) install "torch==$(TORCH)+cpu" 2> /dev/null || $(PIP) install "torch==$(TORCH)"
	@touch $@

$(VENV)/.requirements: requirements.txt $(VENV)/.torch
	@echo "installing requirements.txt"
	@$(PIP) install -r requirements.txt
	@touch $@

$(VENV)/.built: $(VENV)/.requirements $(NATIVE)
	@echo "building the native library and the LAMMPS plugin"
	@$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@
