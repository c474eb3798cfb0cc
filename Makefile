# Everything here works on a machine with Python (3.11 or newer) and make alone: the first target
# that needs it makes .venv and installs.
#
#   make demo     compile resnet50 for NumPy and JAX, check it, print a table
#   make test     the whole test suite, on all cores
#   make test-browser  the report in headless Chromium; its pictures go to docs/
#   make check    lint, types, import directions, generated files
#   make coverage the ONNX backend suite on NumPy and JAX; writes docs/onnx_coverage.md
#   make bench    what grows with size, how fast a start is, ops beside other optimizers,
#                 memory and its limits, time beside other runtimes; writes docs/*.md
#   make cost-model  what the cost model is worth on families held out, and what tuning
#                 finds; writes docs/cost-model.md and docs/tuning.md
#   make upgrade  the newest release of everything that is tested with: constraints.txt
#   make fuzz     20,000 hostile model files: each imports or is refused in one line;
#                 5,000 random graphs: NumPy, JAX and the reference evaluator agree

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# At the versions that the whole suite has passed with: a release elsewhere fails no test here.
INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt
DEV := $(VENV)/.installed-dev
RUN := $(VENV)/.installed
FUZZ ?= 20000
SEED ?= 0
GRAPHS ?= 5000
SHARED := ../shared/models
LARGE ?=

.PHONY: demo test test-browser check coverage bench cost-model fuzz format stub upgrade clean

demo: $(RUN)
	@echo "make demo: compiling resnet50 (onnx's own file, seeded weights) with both backends"
	$(BIN)/sardonyx demo -o build/demo

test: $(DEV)
	@echo "make test: the test suite (pytest on all cores, lit and filecheck within)"
	$(BIN)/python -m pytest -n auto --dist worksteal -q -m "not browser and not large"

# The browser is Debian's: what installs it, or one line that says what is missing.
CHROMIUM := command -v chromium >/dev/null && command -v chromedriver >/dev/null
APT := apt-get update -qq && apt-get install -y -qq chromium chromium-driver

test-browser: $(DEV)
	@echo "make test-browser: the report in headless Chromium"
	@$(CHROMIUM) || { [ "$$(id -u)" = 0 ] && { $(APT); } >/dev/null 2>&1 && $(CHROMIUM); } || \
	  { echo "make test-browser: found no chromium and chromedriver, and could not" \
	    "install them (apt-get install chromium chromium-driver)" >&2; exit 1; }
	$(INSTALL) -e '.[dev,report,browser]'
	$(BIN)/python -m pytest -n 0 -q -m browser tests/browser

check: $(DEV)
	@echo "make check: ruff, pyright (strict), import directions, generated files"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m pytest -q tests/test_house.py

coverage: $(DEV)
	@echo "make coverage: the ONNX backend suite, whole, on both backends; about ten minutes"
	$(BIN)/python tests/coverage/run.py

# What is timed lies beside the project; LARGE=DIR has what make_large.py wrote.
bench: $(DEV)
	@echo "make bench: tests/bench with its 3 GB model, docs/graph-size.md," \
	  "docs/memory.md, docs/quantization.md, docs/sparsity.md, docs/benchmarks.md; needs 8 GB of disk," \
	  "about forty minutes and a quiet machine"
	$(INSTALL) -e '.[dev,bench]'
	$(BIN)/python -m pytest -n 0 -q tests/bench
	@[ -f $(SHARED)/make_light.py ] || \
	  { echo "make bench: found no $(SHARED): no models to time" >&2; exit 1; }
	light=$$(mktemp -d) && trap 'rm -rf "$$light"' EXIT && \
	  $(BIN)/python $(SHARED)/make_light.py "$$light" >/dev/null && \
	  $(BIN)/python tests/bench/graph_size.py "$$light"/*.onnx $(SHARED)/*.onnx \
	    -o docs/graph-size.md && \
	  $(BIN)/python tests/bench/memory.py $(SHARED)/*.onnx "$$light"/*.onnx \
	    $(if $(LARGE),--large $(LARGE)) -o docs/memory.md && \
	  $(BIN)/python tests/bench/quantization.py && \
	  $(BIN)/python tests/bench/sparsity.py && \
	  $(BIN)/python tests/bench/benchmarks.py --light "$$light" \
	    $(if $(LARGE),--large $(LARGE))

# The measurements that it learns from are in the repository; tuning wants a quiet machine.
cost-model: $(DEV)
	@echo "make cost-model: families held out, five times, and tune on resnet50 and MiniLM;" \
	  "about forty minutes"
	$(BIN)/python tests/bench/cost_model.py evaluate --network 1
	$(BIN)/python tests/bench/tuning.py

# Both run to their end; each prints how far it is, and what it found.
fuzz: $(DEV)
	@failed=; \
	echo "make fuzz: $(FUZZ) hostile model files, seeds from $(SEED) on"; \
	$(BIN)/python tests/fuzz/hostile.py --count $(FUZZ) --first $(SEED) || failed=1; \
	echo "make fuzz: $(GRAPHS) random graphs on NumPy, JAX and the evaluator," \
	  "seeds from $(SEED) on"; \
	$(BIN)/python tests/fuzz/graphs.py --count $(GRAPHS) --first $(SEED) || failed=1; \
	[ -z "$$failed" ] || { echo "make fuzz: there are failures above" >&2; exit 1; }

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

stub: $(DEV)
	$(BIN)/python -m sardonyx.dialects.onnx.stub

# The newest of everything; then it is for the tests to say whether that works. ONNX Runtime's
# new operators go to dialects/onnx/contrib.txt.
upgrade:
	rm -rf build/upgrade && $(PYTHON) -m venv build/upgrade
	build/upgrade/bin/python -m pip install -q --disable-pip-version-check \
	  -e '.[bench,browser,dev,images,report,tune]'
	build/upgrade/bin/python -m pip freeze --exclude-editable > build/constraints.txt
	mv build/constraints.txt constraints.txt && rm -rf build/upgrade

# The package alone is enough to run; what develops it is installed when it is needed.
$(RUN): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e .
	@touch $@

$(DEV): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e '.[dev]'
	@touch $@ $(RUN)

clean:
	rm -rf $(VENV) build *.egg-info
