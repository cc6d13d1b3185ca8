SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON_ML := .venv/ml/bin/python
# Several test files at a time, each in one process; the long ones stand first and most wait for processes of their own.
PYTEST := $(PYTHON_ML) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
.DEFAULT_GOAL := help
.PHONY: help setup run test check unit contract end-to-end images pin-bases test-containers test-browser screenshots docs reference fix compile golden local-build docker-client on-host push-images push-templates submit-training submit-deployment release-check kind-up kind-run kind-open kind-down sbom audit terraform lock bench-pipeline bench-gates bench-emulator bench-data bench-rollout bench-crash bench-switch bench-serving bench-soak bench-monitoring clean

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
	@$(PYTEST)

check: setup ## Format, lint, types, import layers
	@deploy/environment.sh dev
	@.venv/ml/bin/ruff format --check --quiet .
	@.venv/ml/bin/ruff check --quiet .
	@.venv/ml/bin/mypy --no-error-summary
	@if command -v terraform >/dev/null; then terraform fmt -check -recursive deploy/terraform; fi
	@$(PYTHON_ML) -m pytest -q tests/unit/test_layers.py tests/unit/test_packaging.py

unit: setup ## Unit tests only
	@deploy/environment.sh dev
	@$(PYTEST) -q tests/unit

contract: setup ## The emulator and the model server, by real clients over real HTTP
	@deploy/environment.sh dev
	@$(PYTEST) -q tests/contract

end-to-end: setup ## The command line as a person uses it: the main job, bad input, crashes, the rollback drill
	@deploy/environment.sh dev
	@$(PYTEST) -q tests/components tests/pipelines tests/e2e tests/docs

images: ## Build the container images (BASE_IMAGE, BUILD_IMAGE, REPOSITORY, CACHE; needs Docker)
	@deploy/images/build.sh

pin-bases: ## Write the digests of the public base images beside their tags (needs Docker and a network)
	@deploy/images/pin.sh

test-containers: setup ## The images, the pipelines and a rollout in real containers, where a Docker daemon answers (needs `make images`)
	@deploy/environment.sh dev
	@INTERLOCK_CONTAINERS="$${INTERLOCK_CONTAINERS:-if there}" $(PYTHON_ML) -m pytest -q tests/containers

test-browser: setup ## The console and the reports in Chromium: the main job watched, accessibility, rollback
	@tests/browser/setup.sh
	@.venv/browser/bin/python -m pytest -q tests/browser

screenshots: setup ## Run the main job and write the pictures of README and docs into docs/pictures
	@tests/browser/setup.sh
	@.venv/browser/bin/python -m pytest -q tests/browser/test_pictures.py --pictures docs/pictures

docs: reference ## The documents as a site in build/site, every link checked; nothing in it asks another host for anything
	@deploy/environment.sh docs
	@NO_MKDOCS_2_WARNING=1 .venv/docs/bin/mkdocs build --strict --quiet
	@echo "build/site: look at it with  python3 -m http.server --bind 127.0.0.1 --directory build/site"

reference: setup ## Write docs/reference and the lists of docs/emulator.md again, from the code
	@cd docs && ../$(PYTHON_ML) -m generator
	@$(PYTHON_ML) -m interlock.emulator.documentation docs/emulator.md

fix: setup ## Format and mend what can be mended
	@deploy/environment.sh dev
	@.venv/ml/bin/ruff format --quiet .
	@.venv/ml/bin/ruff check --quiet --fix .

compile: setup ## Compile the pipelines into build/templates; red when deploy/templates does not say the same
	@.venv/ml/bin/interlock compile --kubernetes deploy/templates/kubernetes.yaml --check deploy/templates

golden: setup ## Accept what the pipelines compile to: write deploy/templates
	@.venv/ml/bin/interlock compile --kubernetes deploy/templates/kubernetes.yaml --output deploy/templates

local-build: setup ## Run a Cloud Build file here: FILE=cloudbuild.yaml STEPS="check unit" SUBSTITUTIONS="_NAME=VALUE"
	@deploy/environment.sh dev
	@$(PYTHON_ML) deploy/cloudbuild/local_build.py $(or $(FILE),cloudbuild.yaml) $(if $(STEPS),--steps $(STEPS)) $(if $(SUBSTITUTIONS),--substitutions $(SUBSTITUTIONS))

docker-client: ## A Docker client, where a build step has none
	@deploy/cloudbuild/docker-client.sh

on-host: ## Run VERB beside the Docker daemon, also from a build step, which is a container
	@deploy/cloudbuild/on-host.sh $(VERB)

push-images: ## Push the images, write their digests to build/images.yaml (REPOSITORY, TAG)
	@deploy/cloudbuild/push-images.sh

push-templates: setup ## Compile with the digests of build/images.yaml and publish (REGISTRY, TAGS)
	@.venv/ml/bin/interlock compile --images build/images.yaml --kubernetes deploy/templates/kubernetes.yaml --output build/published
	@.venv/ml/bin/interlock publish build/published/vertex --registry "$(REGISTRY)" $(foreach tag,$(TAGS),--tag $(tag))

submit-training: setup ## Submit training on Google Cloud (PROJECT, REGION, BUCKET, CONFIG)
	@deploy/cloudbuild/submit.sh training

submit-deployment: setup ## Submit the deployment pipeline on Google Cloud (also TEMPLATE)
	@deploy/cloudbuild/submit.sh deployment

release-check: ## Whether TAG, pyproject.toml and CHANGELOG.md name the same version, and the bases are digests
	@deploy/cloudbuild/release-check.sh

sbom: setup ## Bills of material (CycloneDX) of every lock, environment and image, into build/sbom
	@deploy/environment.sh tools
	@deploy/supply-chain/sbom.sh

audit: ## Known vulnerabilities in the locks (needs a network; says so when it cannot look)
	@deploy/environment.sh tools
	@.venv/tools/bin/python deploy/supply-chain/audit.py

terraform: setup ## Terraform validates and plans every environment, with the schema of the provider in its place
	@deploy/environment.sh dev
	@deploy/environment.sh terraform
	@$(PYTHON_ML) -m pytest -q tests/unit/deploy/test_terraform.py tests/unit/deploy/test_terraform_plan.py

kind-up: ## A kind cluster with Kubeflow Pipelines, the emulator, storage and PostgreSQL (needs `make images`)
	@deploy/kind/up.sh

kind-run: setup ## Training and deployment on the kind cluster, by the compiled Kubernetes templates
	@deploy/kind/run.sh

kind-open: ## Pages and addresses of the kind cluster on loopback, until Ctrl-C
	@deploy/kind/open.sh

kind-down: ## Remove the kind cluster
	@deploy/kind/down.sh

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

bench-monitoring: setup ## Monitoring: false alarms, delay, a window of a million rows; last line JSON
	@$(PYTHON_ML) benchmarks/monitoring.py

clean: ## Stop the emulators and remove state and builds (environments stay)
	@[ ! -x .venv/ml/bin/interlock ] || .venv/ml/bin/interlock down
	@rm -rf .interlock build dist
