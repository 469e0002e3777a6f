# Everything a fresh machine needs is made here; Python ≥ 3.11 is all it must have.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
WHEEL  := $(VENV)/.wheel
STAMP  := $(VENV)/.installed
PYTEST_ARGS ?= -n 2 --dist worksteal
SOURCES := $(shell find storage actors runtime scripting examples/demo -type f -not -path '*/__pycache__/*')

.PHONY: demo test check bench soak format clean

# The environment holds the built wheel, as users get it. What the tests need besides comes only when they are to run.
$(WHEEL): pyproject.toml setup.py README.md $(SOURCES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	@echo "making the environment in $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@rm -rf build dist *.egg-info
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip build 'setuptools>=77'
	@echo "building and installing greenroom and what it needs"
	@$(BIN)/python -m build --wheel --outdir dist . >$(VENV)/build.log 2>&1 || { cat $(VENV)/build.log; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade dist/*.whl
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps dist/*.whl
	@rm -rf build *.egg-info
	@touch $@

$(STAMP): $(WHEEL)
	@echo "installing what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "$$(ls dist/*.whl)[dev]"
	@touch $@

demo: $(WHEEL)
	@$(BIN)/greenroom demo

test: $(STAMP)
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

# A separate directory keeps the working tree's folders out of the way of the installed packages.
check: $(STAMP)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@mkdir -p $(VENV)/elsewhere && cd $(VENV)/elsewhere && ../bin/mypy --config-file ../../pyproject.toml \
	  --exclude '/runtime/integrations/(?!__init__|opening)' \
	  -p greenroom.storage -p greenroom.actors -p greenroom.runtime -p greenroom.scripting -p greenroom.examples.demo
	@cd $(VENV)/elsewhere && ../bin/mypy --config-file ../../pyproject.toml ../../examples/*.py
	@cd $(VENV)/elsewhere && ../bin/lint-imports --config ../../pyproject.toml
	@.ci/newer-pythons
	@$(MAKE) --no-print-directory test
	@.ci/integrations

# PEERS=1 has an environment of its own, with what stands beside greenroom.
BENCH := $(if $(PEERS),$(VENV)/peers/bin,$(BIN))

bench: $(if $(PEERS),$(WHEEL),$(STAMP))
ifneq ($(PEERS),)
	@test -x $(BENCH)/python || $(PYTHON) -m venv $(VENV)/peers
	@echo "installing what stands beside greenroom"
	@$(BENCH)/python -m pip install --quiet --disable-pip-version-check "$$(ls dist/*.whl)" -r perf/peers.txt
	@$(BENCH)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps dist/*.whl
endif
	@$(BENCH)/python perf/bench.py $(BENCH_ARGS)

# So many seconds of sessions that come, work and go, in which nothing may grow.
SOAK ?= 120

soak: $(STAMP)
	@$(BIN)/python perf/soak.py --seconds $(SOAK)

format: $(STAMP)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache perf/out
