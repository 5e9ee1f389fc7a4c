# Every word here is one that CI and the README use; what follows its ## is what `make help` says.
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

.PHONY: help serve demo test test-all lint format types imports check bench eval parity-full train clean

help:  ## this list
	@sed -n 's/^\([a-z.][a-z.-]*\):.*## */\1 /p' Makefile | while read -r word does; do printf 'make %-12s  %s\n' "$$word" "$$does"; done

# The stamp keeps the environment from being rebuilt; it ages with what it was made from.
$(VENV)/.stamp: pyproject.toml requirements/omni-mini.txt requirements/smart-turn.txt requirements/train.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.$(if $(EXTRA),[$(EXTRA)])'
	$(PIP) --no-deps --require-hashes --requirement requirements/omni-mini.txt
	$(PIP) --no-deps --require-hashes --requirement requirements/smart-turn.txt
	$(if $(findstring train,$(EXTRA)),$(PIP) --no-deps --require-hashes --requirement requirements/train.txt)
	touch $@

.PHONY: .venv
.venv: $(VENV)/.stamp  ## the Python environment that all of these use

serve: $(VENV)/.stamp  ## the server on http://127.0.0.1:8000
	$(BIN)/omnilive serve $(ARGS)

demo: $(VENV)/.stamp  ## one spoken question, streamed, answered, written to a file
	$(BIN)/omnilive demo $(ARGS)

test: $(VENV)/.stamp  ## the tests, without the slow ones
	$(BIN)/pytest -m "not slow" $(ARGS)

test-all: $(VENV)/.stamp  ## all tests, the slow ones too
	$(BIN)/pytest $(ARGS)

lint: $(VENV)/.stamp  ## ruff: rules and format
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

format: $(VENV)/.stamp  ## what ruff can mend by itself
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

types: $(VENV)/.stamp  ## mypy
	$(BIN)/mypy

imports: $(VENV)/.stamp  ## who may import whom
	$(BIN)/lint-imports

check: lint types imports test  ## what CI runs: lint, types, import rules, tests

bench: $(VENV)/.stamp  ## how fast it is, beside the reference
	$(BIN)/omnilive bench all $(ARGS)

eval: $(VENV)/.stamp  ## how well omni-mini speaks and hears
	$(BIN)/omnilive eval all $(ARGS)

# The released model's shapes with random weights beside the reference: needs 22 GiB of memory and minutes.
parity-full: $(VENV)/.stamp  ## the released shapes beside the reference: 22 GiB of memory, minutes
	$(BIN)/pytest -m slow tests/model/test_parity_full.py $(ARGS)

train: $(VENV)/.stamp  ## the recipe of omni-mini; ARGS names a stage
	$(BIN)/omnilive train $(ARGS)

clean:  ## removes what tools left behind
	rm -rf build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
