SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON_ML := .venv/ml/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup run test check unit contract end-to-end fix compile lock bench-pipeline bench-gates bench-emulator bench-data bench-rollout bench-crash bench-switch bench-serving bench-soak clean

help: ## What there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: ## Both environments, from hashed locks (instant when nothing changed)
	@deploy/environment.sh ml
	@deploy/environment.sh data

run: setup ## The main job: train, gate, register, canary, promote; then a bad one, rolled back
	@.venv/ml/bin/interlock run examples/flights/run.yaml

test: setup ## Checks, then every test
	@deploy/environment.sh dev
	@$(MAKE) --no-print-directory check
	@$(PYTHON_ML) -m pytest

check: setup ## Format, lint, types, import layers
	@deploy/environment.sh dev
	@.venv/ml/bin/ruff format --check --quiet .
	@.venv/ml/bin/ruff check --quiet .
	@.venv/ml/bin/mypy --no-error-summary
	@$(PYTHON_ML) -m pytest -q tests/unit/test_layers.py tests/unit/test_packaging.py

unit: setup ## Unit tests only
	@deploy/environment.sh dev
	@$(PYTHON_ML) -m pytest -q tests/unit

contract: setup ## The emulator and the model server, by real clients over real HTTP
	@deploy/environment.sh dev
	@$(PYTHON_ML) -m pytest -q tests/contract

end-to-end: setup ## The command line as a person uses it: the main job, bad input, crashes, the rollback drill
	@deploy/environment.sh dev
	@$(PYTHON_ML) -m pytest -q tests/components tests/pipelines tests/e2e

fix: setup ## Format and mend what can be mended
	@deploy/environment.sh dev
	@.venv/ml/bin/ruff format --quiet .
	@.venv/ml/bin/ruff check --quiet --fix .

compile: setup ## Compile the pipelines into build/
	@mkdir -p build
	@for name in training deployment monitoring; do .venv/ml/bin/kfp dsl compile --py pipelines/$$name.py --function $$name --output build/$$name.yaml; done

lock: ## Resolve the locks again from pyproject.toml (needs a network)
	@requirements/lock.sh

bench-pipeline: setup ## Training pipeline against one plain process; last line JSON
	@$(PYTHON_ML) benchmarks/pipeline.py

bench-gates: setup ## Gates on sound and broken candidates, evaluation speed, replay; last line JSON
	@$(PYTHON_ML) benchmarks/gates.py

bench-emulator: setup ## The emulator: readiness, memory, added latency, split, nothing lost; last line JSON
	@$(PYTHON_ML) benchmarks/emulator.py

bench-data: setup ## Statistics, drift and ingestion against vanilla TFDV; last line JSON
	@$(PYTHON_ML) benchmarks/data.py

bench-rollout: setup ## Rollout statistics against other rules; last line JSON
	@$(PYTHON_ML) benchmarks/rollout.py

bench-crash: setup ## Rollout controllers killed 200 times; last line JSON
	@$(PYTHON_ML) benchmarks/crash.py

bench-switch: setup ## Traffic switched under load; last line JSON
	@$(PYTHON_ML) benchmarks/switch.py

bench-serving: setup ## Model server against other model servers (wrk; builds .venv/bench-*); last line JSON
	@$(PYTHON_ML) benchmarks/serving.py

bench-soak: setup ## A million requests, one in ten broken, at one model server; last line JSON
	@$(PYTHON_ML) benchmarks/soak.py

clean: ## Stop the emulators and remove state and builds (environments stay)
	@[ ! -x .venv/ml/bin/interlock ] || .venv/ml/bin/interlock down
	@rm -rf .interlock build dist
