# make sweep   run an experiment from nothing to a report      make sweep EXPERIMENT=path.toml
# make test    run the tests
# make help    the other words

PYTHON ?= python3
EXPERIMENT ?= tiny
KILLS ?= 30
BIN := .venv/bin
COMPOSE ?= docker compose

.PHONY: help sweep plan test test-all test-vllm vllm check bench reasoner deploy worker up down logs images reap test-containers test-generate chaos stop clean

help:
	@echo "make sweep [EXPERIMENT=path.toml]   data, baseline, training for every alpha, evaluation, report"
	@echo "make plan  [EXPERIMENT=path.toml]   check the experiment and show what it will cost"
	@echo "make test                           the tests, minutes"
	@echo "make test-all                       with those that take longer"
	@echo "make vllm                           the environment of the steps that generate with vLLM"
	@echo "make test-vllm                      the tests that need it"
	@echo "make check                          format, lint, types, import contracts"
	@echo "make bench                          the training step beside TRL's, half an hour, into build/"
	@echo "make reasoner                       train the built-in model again"
	@echo "make deploy                         register the deployments of prefect.yaml"
	@echo "make worker                         run what is asked of them, until Ctrl-C"
	@echo "make up | down | logs               the whole stack in containers: docs/deployment.md"
	@echo "make images                         the images that steps run in: docs/containers.md"
	@echo "make reap                           remove containers of steps whose launcher or run is gone"
	@echo "make test-containers                the tests that need a Docker engine"
	@echo "make test-generate                  build the image with vLLM and evaluate in it"
	@echo "make chaos [KILLS=30]               a sweep in which whatever can be killed is, into build/"
	@echo "make stop                           stop the local Prefect server"

sweep: .venv/ready
	@$(BIN)/python -m flows.full_sweep $(EXPERIMENT)

plan: .venv/ready
	@$(BIN)/effreason plan $(EXPERIMENT)

test: .venv/ready-dev
	$(BIN)/pytest -m "not slow and not containers"

test-all: .venv/ready-dev
	$(BIN)/pytest

test-vllm: .venv-vllm/ready
	.venv-vllm/bin/python -m pytest $(wildcard tests/test_vllm*.py) tests/test_agreement.py

vllm: .venv-vllm/ready

check: .venv/ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/ready
	$(BIN)/python -m effreason.benchmarks.training

reasoner: .venv/ready
	$(BIN)/python -m effreason.reasoner.recipe

deploy: .venv/ready
	@$(BIN)/python -m infra.deploy

worker: .venv/ready
	@$(BIN)/python -m infra.worker

up:
	@COMPOSE="$(COMPOSE)" PYTHON="$(PYTHON)" infra/compose/up.sh

down:
	$(COMPOSE) down

logs:
	$(COMPOSE) logs --follow --tail 100

images:
	infra/images.sh $(or $(ONLY),light train)

reap: .venv/ready
	@$(BIN)/python -m tasks.supervision.reaping

test-containers: .venv/ready-dev images
	$(BIN)/pytest -m containers tests/test_images.py tests/test_container.py

test-generate: .venv/ready-dev
	infra/images.sh light generate
	$(BIN)/pytest -m containers tests/test_generate_image.py

chaos: .venv/ready-dev images
	$(BIN)/python tests/chaos.py --kills $(KILLS)

stop:
	@$(BIN)/python -m tasks.local.server stop

clean:
	rm -rf .venv .venv-vllm build runs *.egg-info

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"effreason needs Python 3.11 or later, and {sys.executable} is {sys.version.split()[0]}; run make PYTHON=python3.12, say")'
	@echo "Setting up .venv (once, some minutes)..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[all]'
	@touch $@

.venv-vllm/ready: infra/vllm.sh infra/vllm-cpu.txt infra/vllm-gpu.txt
	@echo "Setting up .venv-vllm (once, some minutes)..."
	@PYTHON=$(PYTHON) infra/vllm.sh .venv-vllm
	@touch $@

.venv/ready-dev: .venv/ready
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps axe-playwright-python==0.1.8 # for its copy of axe-core
	@touch $@
