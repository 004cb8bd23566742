# Moderato's commands; `make` alone lists them. Needs Python 3.11 or newer with venv, and nothing else.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
TRAIN_VENV := .venv-train
TRAIN_PYTHON := $(TRAIN_VENV)/bin/python
# optimum's exporter needs an older transformers than training: docs/decisions.md
EXPORT_VENV := .venv-export
MLFLOW_VENV := .venv-mlflow
# The server's DATA_DIR is none of training's: what it reads is said by --data.
TRAINING := env -u DATA_DIR PYTHONPATH=functions:. $(TRAIN_PYTHON) -m training
PIP := -m pip --disable-pip-version-check install --quiet
RECIPE ?= starter
PORT ?= 8000
# Where training finds public files; the server keeps its decisions in a DATA_DIR of its own.
TRAIN_DATA := $(or $(DATA_DIR),../shared/data)
DATA_DIR ?= data

# onnxruntime reports to its maker's collector unless told not to; a moderation service reports to nobody.
export ORT_DISABLE_TELEMETRY := 1
export PORT DATA_DIR
export EXPORT_PYTHON := $(CURDIR)/$(EXPORT_VENV)/bin/python

.PHONY: help serve test check train export-environment tune mlflow bench demo-loop openapi lock clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(VENV)/.serve ## Run the API on http://127.0.0.1:8000 (PORT=, DATA_DIR=)
	@exec $(VENV)/bin/moderato serve

test: $(VENV)/.test $(TRAIN_VENV)/.train $(EXPORT_VENV)/.export ## Run the tests, those of training in its own environment
	$(VENV)/bin/python -m pytest --ignore tests/training
	$(TRAIN_PYTHON) -m pytest tests/training

check: $(VENV)/.test ## Lint, check the format and the types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

train: $(TRAIN_VENV)/.train $(EXPORT_VENV)/.export ## Train a model by its recipe (RECIPE=, DATA_DIR=, DATASET=, PARENT=, SMOKE=1, SEEDS=3, ...)
	$(TRAINING) $(if $(SEEDS),seeds,run) $(RECIPE) $(if $(and $(DATASET),$(if $(wildcard $(TRAIN_DATA)),,missing)),,--data $(TRAIN_DATA)) $(if $(SMOKE),--smoke) $(if $(SEEDS),--count $(SEEDS)) \
	  $(if $(PROCESSES),--processes $(PROCESSES)) $(if $(PROFILE),--profile) $(if $(DATASET),--dataset $(DATASET)) $(if $(PARENT),--parent $(PARENT))

export-environment: $(EXPORT_VENV)/.export

tune: $(TRAIN_VENV)/.train ## Search for better knobs of a recipe (RECIPE=, TRIALS=20)
	$(TRAINING) tune $(RECIPE) --data $(TRAIN_DATA) --trials $(or $(TRIALS),20)

mlflow: $(MLFLOW_VENV)/.mlflow ## Open the page of all training runs on http://127.0.0.1:5000
	MLFLOW_DISABLE_TELEMETRY=true $(MLFLOW_VENV)/bin/mlflow server --host 127.0.0.1 --port 5000 --workers 1 \
	  --backend-store-uri sqlite:///$(CURDIR)/build/mlflow.db --default-artifact-root $(CURDIR)/build/mlflow-artifacts

bench: $(VENV)/.test ## Kill a server 10,000 writes long and count what it lost
	$(VENV)/bin/python -m bench.crash

demo-loop: $(VENV)/.serve $(TRAIN_VENV)/.train $(EXPORT_VENV)/.export ## Corrections, annotators, new dataset, training, promotion (DATA_DIR=)
	PYTHONPATH=functions:. $(VENV)/bin/python -m bench.demo_loop --data $(TRAIN_DATA) --train-python $(TRAIN_PYTHON)

openapi: $(VENV)/.serve ## Write openapi.json from the request and response types
	$(VENV)/bin/python -m moderato.openapi > openapi.json.part
	mv openapi.json.part openapi.json

lock: ## Pin requirements/*.txt anew from *.in (needs uv)
	cd requirements && for name in serve build test; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --excludes excludes.txt --custom-compile-command "make lock" $$name.in -o $$name.txt || exit 1; done
	cd requirements && uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-emit-index-url \
	  --custom-compile-command "make lock" train.in -o train.txt.part && \
	  grep -vE '^(nvidia|cuda|triton)' train.txt.part > train.txt && rm train.txt.part
	cd requirements && uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-emit-index-url \
	  --custom-compile-command "make lock" export.in -o export.txt.part && \
	  grep -vE '^(nvidia|cuda|triton)' export.txt.part > export.txt && rm export.txt.part

clean: ## Remove the environments and caches; your data folder stays
	rm -rf $(VENV) $(TRAIN_VENV) $(EXPORT_VENV) $(MLFLOW_VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
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
	@$(TRAIN_PYTHON) $(PIP) -r requirements/train.txt
	@touch $@

$(EXPORT_VENV)/.export: requirements/export.txt
	@$(call require_python)
	@echo "Installing the export environment into $(EXPORT_VENV) (once)"
	@$(PYTHON) -m venv $(EXPORT_VENV)
	@$(EXPORT_VENV)/bin/python $(PIP) -r requirements/export.txt
	@touch $@

$(MLFLOW_VENV)/.mlflow:
	@$(call require_python)
	@echo "Installing MLflow's page into $(MLFLOW_VENV) (once)"
	@$(PYTHON) -m venv $(MLFLOW_VENV)
	@$(MLFLOW_VENV)/bin/python $(PIP) mlflow==3.17.2
	@touch $@

define require_python
command -v $(PYTHON) >/dev/null || \
  { echo "Moderato needs Python 3.11 or newer: no '$(PYTHON)' was found (Debian, Ubuntu: apt install python3 python3-venv)." >&2; exit 1; }; \
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
  { echo "Moderato needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12 ..." >&2; exit 1; }; \
$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
  { echo "'$(PYTHON)' has no venv module (Debian, Ubuntu: apt install python3-venv)." >&2; exit 1; }
endef
