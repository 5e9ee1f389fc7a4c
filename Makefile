# Every word here is one that CI and the README use.
#   make serve        the server on http://127.0.0.1:8000
#   make demo         one spoken question, streamed, answered, written to a file
#   make test         the tests
#   make check        what CI runs: lint, types, import rules, tests
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# A wheel index to prefer for torch, e.g. https://download.pytorch.org/whl/cpu for the build without CUDA.
TORCH_INDEX ?=
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
EXTRA  ?= test,train
ARGS   ?=
CODE   := server streaming model clients deploy tests

.PHONY: help serve demo talk test test-all lint format types imports check bench eval parity-full train clean

help:
	@sed -n '2,5s/^# *//p' Makefile

# The stamp keeps the environment from being rebuilt; it ages with what it was made from.
$(VENV)/.stamp: pyproject.toml requirements/omni-mini.txt requirements/smart-turn.txt requirements/train.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.$(if $(EXTRA),[$(EXTRA)])'
	$(PIP) --no-deps --require-hashes --requirement requirements/omni-mini.txt
	$(PIP) --no-deps --require-hashes --requirement requirements/smart-turn.txt
	$(if $(findstring train,$(EXTRA)),$(PIP) --no-deps --require-hashes --requirement requirements/train.txt)
	touch $@

.PHONY: .venv
.venv: $(VENV)/.stamp

serve: $(VENV)/.stamp
	$(BIN)/omnilive serve $(ARGS)

demo: $(VENV)/.stamp
	$(BIN)/omnilive demo $(ARGS)

test: $(VENV)/.stamp
	$(BIN)/pytest -m "not slow" $(ARGS)

test-all: $(VENV)/.stamp
	$(BIN)/pytest $(ARGS)

lint: $(VENV)/.stamp
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

format: $(VENV)/.stamp
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

types: $(VENV)/.stamp
	$(BIN)/mypy

imports: $(VENV)/.stamp
	$(BIN)/lint-imports

check: lint types imports test

bench: $(VENV)/.stamp
	$(BIN)/omnilive bench all $(ARGS)

eval: $(VENV)/.stamp
	$(BIN)/omnilive eval all $(ARGS)

# The released model's shapes with random weights beside the reference: needs 22 GiB of memory and minutes.
parity-full: $(VENV)/.stamp
	$(BIN)/pytest -m slow tests/model/test_parity_full.py $(ARGS)

train: $(VENV)/.stamp
	$(BIN)/omnilive train $(ARGS)

clean:
	rm -rf build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
