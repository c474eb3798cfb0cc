# Everything here works on a machine with Python (3.11 or newer) and make alone: the first target
# that needs it makes .venv and installs.
#
#   make demo     compile resnet50 for NumPy and JAX, check it, print a table
#   make test     the whole test suite, on all cores
#   make check    lint, types, import directions, generated files

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEV := $(VENV)/.installed-dev
RUN := $(VENV)/.installed

.PHONY: demo test check format stub clean

demo: $(RUN)
	@echo "make demo: compiling resnet50 (onnx's own file, seeded weights) with both backends"
	$(BIN)/sardonyx demo -o build/demo

test: $(DEV)
	@echo "make test: the test suite (pytest on all cores, lit and filecheck within)"
	$(BIN)/python -m pytest -n auto --dist worksteal -q

check: $(DEV)
	@echo "make check: ruff, pyright (strict), import directions, generated files"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m pytest -q tests/test_house.py

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

stub: $(DEV)
	$(BIN)/python -m sardonyx.dialects.onnx.stub

# The package alone is enough to run; what develops it is installed when it is needed.
$(RUN): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

$(DEV): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@ $(RUN)

clean:
	rm -rf $(VENV) build *.egg-info
