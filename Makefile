# What people type here. `make` alone lists the targets.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PORT ?= 3000
RUN := .venv/bin/python -m

COMPANIES ?= 25
REQUESTS ?= 20
MESSAGES ?= 12
HISTORY ?= 10000
LATENCY ?= 0
AT_A_TIME ?=
RUNS ?= 1
PEER ?=

N ?= 200
SEED ?= 1
WORKERS ?= 8
KILLS ?= 20

.PHONY: help setup setup-dev demo dev test test-ui screenshots bench bench-docs bench-drain drill \
	drill-steps kills odd-rows full-disks hosts celery launchers real-text check format docs lock clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup: ## Make .venv with what it takes to run (demo and dev do it)
	@sh scripts/setup.sh demo

setup-dev: ## Make .venv with the tools, too (test and check do it)
	@sh scripts/setup.sh dev

demo: setup ## See it work: sample conversations through the job
	@$(RUN) batch_assets.cli demo

dev: setup ## Open Dagster's UI, schedule on, until Ctrl-C (PORT=3000)
	@exec $(RUN) batch_assets.cli dev --port "$(PORT)"

# Keeps what pytest makes of the tests' assertions, whatever the environment says: half of what it
# takes each of its processes to collect them.
test: setup-dev ## Run the tests (ARGS="-k name" for some of them)
	@PYTHONDONTWRITEBYTECODE= $(RUN) pytest -n 3 --dist loadgroup $(ARGS)

test-ui: setup-dev ## Run the tests of the UI, in Chromium (ARGS="-k name")
	@$(RUN) pytest browser $(ARGS)

screenshots: setup-dev ## Make the pictures of docs/operations.md anew
	@$(RUN) browser.screenshots

bench: setup ## Compare original and optimized (COMPANIES= REQUESTS= MESSAGES= HISTORY= PEER=batchor)
	@$(RUN) benchmarks.comparison --companies $(COMPANIES) --requests $(REQUESTS) \
		--messages $(MESSAGES) --history $(HISTORY) --latency $(LATENCY) --runs $(RUNS) \
		$(if $(AT_A_TIME),--at-a-time $(AT_A_TIME)) $(if $(PEER),--peer $(PEER)) $(ARGS)

bench-docs: setup ## Measure all of docs/benchmarks.md and write it anew (PEER=batchor)
	@$(RUN) benchmarks.comparison --document $(if $(PEER),--peer $(PEER)) $(ARGS)

bench-drain: setup ## Let runs work off a backlog, and say what each cost (COMPANIES= REQUESTS=)
	@$(RUN) benchmarks.comparison drain --companies $(COMPANIES) --requests $(REQUESTS) \
		--messages $(MESSAGES) --history $(HISTORY) $(ARGS)

drill: setup ## Kill runs at every point and count what is lost (N=200 SEED=1 KINDS=)
	@$(RUN) drills --schedules $(N) --seed $(SEED) --workers $(WORKERS) \
		$(if $(KINDS),--kinds $(KINDS)) $(if $(STORY),--story "$(STORY)")

drill-steps: setup-dev ## Take the stages step by step in any order (N=200 SEED=1)
	@$(RUN) drills.steps --examples $(N) --seed $(SEED)

odd-rows: setup-dev ## Fill LiveDash's columns with anything, at random (N=200 worlds)
	@ODD_ROWS=$(N) $(RUN) pytest batch_assets_tests/stages/test_odd_rows.py $(ARGS)

kills: setup ## Kill processes of `batch-assets dev`, and see that work goes on (KILLS=20 SEED=1)
	@$(RUN) drills.kills --kills "$(KILLS)" --seed $(SEED)

full-disks: setup ## Let the disks of runs fill up, and see that nothing is lost (as root)
	@$(RUN) drills.disks

hosts: setup ## Drain a backlog over three hosts, and lose one of them (as root; ARGS="--requests 40000")
	@$(RUN) drills.hosts $(ARGS)

celery: setup ## Execute runs by two workers of Celery (as root, with requirements-engines.txt installed)
	@$(RUN) drills.celery_workers $(ARGS)

launchers: setup ## Run what launchers for Kubernetes and Docker start (with requirements-engines.txt installed)
	@$(RUN) drills.launchers $(ARGS)

real-text: setup ## Send real conversations through the job (DATA=file)
	@$(RUN) benchmarks.real_text "$(DATA)"

check: setup-dev ## Check format, lint, types, imports, requirements and settings
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	.venv/bin/lint-imports
	$(RUN) pip check
	.venv/bin/python scripts/check_requirements.py
	.venv/bin/python scripts/document_settings.py --check

format: setup-dev ## Put the code into its format
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .

docs: setup-dev ## Make the tables of docs/configuration.md from the settings
	@.venv/bin/python scripts/document_settings.py

lock: setup-dev ## Compile requirements*.txt (ARGS=--upgrade: the newest)
	@sh scripts/lock.sh $(ARGS)

clean: ## Stop and remove the local stack, .venv and all caches
	@sh scripts/clean.sh
