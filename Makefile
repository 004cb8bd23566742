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
# sagemaker's SDK caps rich and protobuf.
SAGEMAKER_VENV := .venv-sagemaker
# Airflow pins the packages of its web server.
AIRFLOW_VENV := .venv-airflow
# aws-sam-cli pins its own boto3, and checkov brings a hundred packages.
DEPLOY_VENV := .venv-deploy
# MiniStack pins its botocore.
EMULATOR_VENV := .venv-emulator
# The server's DATA_DIR is none of training's: what it reads is said by --data.
TRAINING := env -u DATA_DIR PYTHONPATH=functions:. $(TRAIN_PYTHON) -m training
PIP := -m pip --disable-pip-version-check install --quiet
RECIPE ?= starter
CONFIG ?= default
# The linters ask for a region and call none. In the translated template SAM has read the parameter Rollout (W2001), and has
# handed a policy for the versions on to their alias (W3011).
LINT_REGION := eu-west-1
PORT ?= 8000
MODEL ?= models/starter
# Where training finds public files; the server keeps its decisions in a DATA_DIR of its own.
TRAIN_DATA := $(or $(DATA_DIR),../shared/data)
DATA_DIR ?= data

# onnxruntime reports to its maker's collector unless told not to; a moderation service reports to nobody.
export ORT_DISABLE_TELEMETRY := 1
export SAM_CLI_TELEMETRY := 0
export PORT DATA_DIR
export EXPORT_PYTHON := $(CURDIR)/$(EXPORT_VENV)/bin/python

.PHONY: help serve test check build images-here images training-image emulate deploy train train-environment export-environment sagemaker-environment ray-environment tune mlflow bench demo-loop openapi lock clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(VENV)/.serve ## Run the API on http://127.0.0.1:8000 (PORT=, DATA_DIR=)
	@exec $(VENV)/bin/moderato serve

test: $(VENV)/.test $(TRAIN_VENV)/.ray $(EXPORT_VENV)/.export $(SAGEMAKER_VENV)/.sagemaker $(AIRFLOW_VENV)/.airflow ## Run the tests, those of training in its own environment
	$(VENV)/bin/python -m pytest --ignore tests/training --ignore tests/images --ignore tests/cloud --ignore tests/dags
	$(TRAIN_PYTHON) -m pytest tests/training
	$(SAGEMAKER_VENV)/bin/python -m pytest tests/cloud
	$(AIRFLOW_VENV)/bin/python -m pytest tests/dags

check: $(VENV)/.test $(DEPLOY_VENV)/.deploy ## Lint, check the format and the types, and the template
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(DEPLOY_VENV)/bin/sam validate --lint --region $(LINT_REGION)
	$(DEPLOY_VENV)/bin/cfn-lint --regions $(LINT_REGION) -- template.yaml
	@mkdir -p build
	$(DEPLOY_VENV)/bin/python -m tests.translated > build/translated.json
	$(DEPLOY_VENV)/bin/cfn-lint --regions $(LINT_REGION) --ignore-checks W2001 W3011 -- build/translated.json
	$(DEPLOY_VENV)/bin/checkov --config-file .checkov.yaml --file template.yaml build/translated.json

build: $(DEPLOY_VENV)/.deploy ## Build the images that run on Lambda, with a model inside (MODEL=models/starter, BASE=)
	$(if $(filter models/%,$(MODEL)),,rm -rf build/image && mkdir -p build/image && cp -R $(MODEL) build/image/model)
	$(DEPLOY_VENV)/bin/sam build --parameter-overrides Model=$(if $(filter models/%,$(MODEL)),$(MODEL),build/image/model) $(if $(BASE),BaseImage=$(BASE))

# On whatever base this machine has, if it has a container engine or may install one: not for AWS.
images-here: $(DEPLOY_VENV)/.deploy
	@if tests/images/engine; then \
	  base=$$(tests/images/base/make $(DEPLOY_VENV)/bin/python) && $(MAKE) --no-print-directory build BASE=$$base; fi

images: $(VENV)/.test images-here ## Build the images, run them as Lambda does and ask them
	$(VENV)/bin/python -m pytest tests/images

training-image: ## Build the image that trains on SageMaker (TAG=moderato-training, BASE=)
	docker build --file training/Dockerfile --tag $(or $(TAG),moderato-training) $(if $(BASE),--build-arg BASE=$(BASE)) \
	  --build-arg COMMIT=$$(git describe --match= --always --abbrev=40 --dirty) .

deploy: build $(VENV)/.test ## Build, ask the images as Lambda would, and deploy to the AWS account you are signed in to (CONFIG=dev)
	$(VENV)/bin/python -m pytest tests/images
	$(DEPLOY_VENV)/bin/sam deploy --config-env $(CONFIG) --resolve-image-repos

emulate: $(VENV)/.test $(EMULATOR_VENV)/.emulator ## Deploy what was built to an emulated AWS that enforces IAM, and call it
	PYTHONPATH=functions:. EMULATOR_PYTHON=$(CURDIR)/$(EMULATOR_VENV)/bin/python $(VENV)/bin/python -m tests.emulator

train: $(TRAIN_VENV)/.train $(EXPORT_VENV)/.export ## Train a model by its recipe (RECIPE=, DATA_DIR=, DATASET=, PARENT=, SMOKE=1, SEEDS=3, ...)
	$(TRAINING) $(if $(SEEDS),seeds,run) $(RECIPE) $(if $(and $(DATASET),$(if $(wildcard $(TRAIN_DATA)),,missing)),,--data $(TRAIN_DATA)) $(if $(SMOKE),--smoke) $(if $(SEEDS),--count $(SEEDS)) \
	  $(if $(PROCESSES),--processes $(PROCESSES)) $(if $(PROFILE),--profile) $(if $(DATASET),--dataset $(DATASET)) $(if $(PARENT),--parent $(PARENT))

train-environment: $(TRAIN_VENV)/.train $(EXPORT_VENV)/.export

export-environment: $(EXPORT_VENV)/.export

sagemaker-environment: $(SAGEMAKER_VENV)/.sagemaker

ray-environment: $(TRAIN_VENV)/.ray ## Add Ray to .venv-train, for python -m training.on_ray

tune: $(TRAIN_VENV)/.train ## Search for better knobs of a recipe (RECIPE=, TRIALS=20)
	$(TRAINING) tune $(RECIPE) --data $(TRAIN_DATA) --trials $(or $(TRIALS),20)

mlflow: $(MLFLOW_VENV)/.mlflow ## Open the page of all training runs on http://127.0.0.1:5000
	MLFLOW_DISABLE_TELEMETRY=true $(MLFLOW_VENV)/bin/mlflow server --host 127.0.0.1 --port 5000 --workers 1 \
	  --backend-store-uri sqlite:///$(CURDIR)/build/mlflow.db --default-artifact-root $(CURDIR)/build/mlflow-artifacts

bench: $(VENV)/.test $(TRAIN_VENV)/.train images-here ## Kill a server 10,000 writes long and count what it lost; time cold starts
	$(VENV)/bin/python -m bench.crash
	$(VENV)/bin/python -m bench.cold_start --train-python $(TRAIN_PYTHON)

demo-loop: $(VENV)/.serve $(TRAIN_VENV)/.train $(EXPORT_VENV)/.export ## Corrections, annotators, new dataset, training, promotion (DATA_DIR=)
	PYTHONPATH=functions:. $(VENV)/bin/python -m bench.demo_loop --data $(TRAIN_DATA) --train-python $(TRAIN_PYTHON)

openapi: $(VENV)/.serve ## Write openapi.json from the request and response types
	$(VENV)/bin/python -m moderato.openapi > openapi.json.part
	mv openapi.json.part openapi.json

lock: ## Pin requirements/*.txt anew from *.in (needs uv)
	cd requirements && for name in serve build test scan deploy emulator airflow; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --excludes excludes.txt --custom-compile-command "make lock" $$name.in -o $$name.txt || exit 1; done
	cd requirements && for name in predict light images; do \
	  uv pip compile --quiet --python-platform x86_64-manylinux_2_34 --python-version 3.13 --generate-hashes --no-emit-index-url \
	    --excludes excludes.txt --excludes excludes-images.txt --custom-compile-command "make lock" $$name.in -o $$name.txt || exit 1; done
	cd requirements && uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --excludes excludes.txt --excludes excludes-sagemaker.txt --custom-compile-command "make lock" sagemaker.in -o sagemaker.txt
	cd requirements && uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-emit-index-url \
	  --custom-compile-command "make lock" train.in -o train.txt.part && \
	  grep -vE '^(nvidia|cuda|triton)' train.txt.part > train.txt && rm train.txt.part
	cd requirements && cp train.txt train-image.txt.part && uv pip compile --quiet --universal --python-version 3.11 \
	  --no-annotate --no-emit-index-url --custom-compile-command "make lock" train-image.in -o train-image.txt.part && \
	  grep -vE '^(nvidia|cuda|triton)' train-image.txt.part > train-image.txt && rm train-image.txt.part
	cd requirements && uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-emit-index-url \
	  --custom-compile-command "make lock" ray.in -o ray.txt
	cd requirements && uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-emit-index-url \
	  --custom-compile-command "make lock" export.in -o export.txt.part && \
	  grep -vE '^(nvidia|cuda|triton)' export.txt.part > export.txt && rm export.txt.part

clean: ## Remove the environments and caches; your data folder stays
	rm -rf $(VENV) $(TRAIN_VENV) $(EXPORT_VENV) $(MLFLOW_VENV) $(SAGEMAKER_VENV) $(AIRFLOW_VENV) $(DEPLOY_VENV) $(EMULATOR_VENV) .aws-sam dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find functions training tests bench deploy -name __pycache__ -type d -prune -exec rm -rf {} +

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

# Half a gigabyte that only these commands need: docs/decisions.md.
$(TRAIN_VENV)/.ray: $(TRAIN_VENV)/.train requirements/ray.txt
	@echo "Adding Ray to $(TRAIN_VENV) (once; 500 MB)"
	@$(TRAIN_PYTHON) $(PIP) -r requirements/ray.txt
	@touch $@

$(EXPORT_VENV)/.export: requirements/export.txt
	@$(call require_python)
	@echo "Installing the export environment into $(EXPORT_VENV) (once)"
	@$(PYTHON) -m venv $(EXPORT_VENV)
	@$(EXPORT_VENV)/bin/python $(PIP) -r requirements/export.txt
	@touch $@

$(SAGEMAKER_VENV)/.sagemaker: requirements/sagemaker.txt
	@$(call require_python)
	@echo "Installing sagemaker's SDK into $(SAGEMAKER_VENV) (once; 330 MB)"
	@$(PYTHON) -m venv $(SAGEMAKER_VENV)
	@$(SAGEMAKER_VENV)/bin/python $(PIP) --no-deps --require-hashes -r requirements/sagemaker.txt
	@touch $@

$(AIRFLOW_VENV)/.airflow: requirements/airflow.txt
	@$(call require_python)
	@echo "Installing Airflow into $(AIRFLOW_VENV) (once; 300 MB)"
	@$(PYTHON) -m venv $(AIRFLOW_VENV)
	@$(AIRFLOW_VENV)/bin/python $(PIP) --no-deps --require-hashes -r requirements/airflow.txt
	@touch $@

$(DEPLOY_VENV)/.deploy: requirements/deploy.txt
	@$(call require_python)
	@echo "Installing the tools of AWS into $(DEPLOY_VENV) (once; some minutes)"
	@$(PYTHON) -m venv $(DEPLOY_VENV)
	@$(DEPLOY_VENV)/bin/python $(PIP) --no-deps --require-hashes -r requirements/deploy.txt
	@touch $@

$(EMULATOR_VENV)/.emulator: requirements/emulator.txt
	@$(call require_python)
	@echo "Installing an emulated AWS into $(EMULATOR_VENV) (once)"
	@$(PYTHON) -m venv $(EMULATOR_VENV)
	@$(EMULATOR_VENV)/bin/python $(PIP) --no-deps --require-hashes -r requirements/emulator.txt
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
