# Moderato's commands; `make` alone lists them. Needs Python 3.11 or newer with venv, and nothing else.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
TRAIN_VENV := .venv-train
TRAIN_PYTHON := $(TRAIN_VENV)/bin/python
PIP := -m pip --disable-pip-version-check install --quiet
RECIPE ?= starter
SOURCES ?= ../shared/data
PORT ?= 8000
DATA_DIR ?= data

# onnxruntime reports to its maker's collector unless told not to; a moderation service reports to nobody.
export ORT_DISABLE_TELEMETRY := 1
export PORT DATA_DIR

.PHONY: help serve test check train bench openapi lock clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(VENV)/.serve ## Run the API on http://127.0.0.1:8000 (PORT=, DATA_DIR=)
	@exec $(VENV)/bin/moderato serve

test: $(VENV)/.test ## Run the tests
	$(VENV)/bin/python -m pytest

check: $(VENV)/.test ## Lint, check the format and the types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

train: $(TRAIN_VENV)/.train ## Train a model by its recipe (RECIPE=starter SOURCES=folder)
	PYTHONPATH=functions:. $(TRAIN_PYTHON) -m training $(RECIPE) --sources $(SOURCES)

bench: $(VENV)/.test ## Kill a server 2,000 writes long and count what it lost
	$(VENV)/bin/python -m bench.crash

openapi: $(VENV)/.serve ## Write openapi.json from the request and response types
	$(VENV)/bin/python -m moderato.openapi > openapi.json.part
	mv openapi.json.part openapi.json

lock: ## Pin requirements/*.txt anew from *.in (needs uv)
	cd requirements && for name in serve build test; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --excludes excludes.txt --custom-compile-command "make lock" $$name.in -o $$name.txt || exit 1; done

clean: ## Remove the environments and caches; your data folder stays
	rm -rf $(VENV) $(TRAIN_VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find functions training tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is as new as the requirements it was made from, so a second run installs nothing.
$(VENV)/.serve: requirements/serve.txt requirements/build.txt pyproject.toml
	@$(call require_python)
	@echo "Installing Moderato into $(VENV) (once; a minute or so)"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python $(PIP) --no-deps --require-hashes -r requirements/serve.txt -r requirements/build.txt
	@$(VENV)/bin/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.serve requirements/test.txt
	@echo "Installing the test tools into $(VENV)"
	@$(VENV)/bin/python $(PIP) --no-deps --require-hashes -r requirements/test.txt
	@touch $@

$(TRAIN_VENV)/.train: requirements/train.txt requirements/serve.txt
	@$(call require_python)
	@echo "Installing the training environment into $(TRAIN_VENV) (once; torch is large)"
	@$(PYTHON) -m venv $(TRAIN_VENV)
	@$(TRAIN_PYTHON) $(PIP) -r requirements/train.txt msgspec==0.22.0
	@touch $@

define require_python
command -v $(PYTHON) >/dev/null || \
  { echo "Moderato needs Python 3.11 or newer: no '$(PYTHON)' was found (Debian, Ubuntu: apt install python3 python3-venv)." >&2; exit 1; }; \
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
  { echo "Moderato needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12 ..." >&2; exit 1; }; \
$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
  { echo "'$(PYTHON)' has no venv module (Debian, Ubuntu: apt install python3-venv)." >&2; exit 1; }
endef
