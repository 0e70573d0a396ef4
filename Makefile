# Two commands: `make reproduce` and `make test`. Each sets up what it needs on first use. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# A login node may differ from its compute nodes: say PLATFORM=cuda there.
PLATFORM ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo cuda || echo cpu)
# FULL=1 is everything, overnight.
SCALE ?= $(if $(FULL),full,local)
SECONDS := 120
ARGS ?=

VENV := .venv/$(PLATFORM)
PYTHON := $(VENV)/bin/python
PACKAGES := $(VENV)/.installed
STAMP := $(VENV)/.checkout

EXPERIMENTS_smoke := pocket,fig1
EXPERIMENTS_local := pocket,fig5,fig6,fig1,wrong_draft,fig8
EXPERIMENTS_full := pocket,fig5,fig6,fig1,fig6_replay,wrong_draft,target_hardware,colocated,fig8,engine
EXPERIMENTS_paper := fig1_paper
EXPERIMENTS := $(EXPERIMENTS_$(SCALE))

ifeq ($(filter $(PLATFORM),cpu cuda),)
$(error PLATFORM is $(PLATFORM); it must be cpu or cuda)
endif
ifeq ($(EXPERIMENTS),)
$(error SCALE is $(SCALE); it must be smoke, local, full or paper)
endif

.PHONY: help
help: ## explain every target
	@echo "make TARGET [SCALE=smoke|local|full|paper] [PLATFORM=cpu|cuda] [ARGS='overrides']"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: reproduce
reproduce: $(STAMP) ## run the experiments of SCALE (default local), draw the figures, judge the claims, write the report
	$(PYTHON) -m harness.run -m experiment=$(EXPERIMENTS) scale=$(SCALE) $(ARGS)
	@$(MAKE) --no-print-directory figures claims
	$(PYTHON) -m harness.report
	@$(MAKE) --no-print-directory wandb
	$(PYTHON) -m harness.summary $(SCALE)

.PHONY: wandb
wandb: $(STAMP) ## copy figures, tables, verdicts and report into a W&B run; nothing with ARGS=tracker=disabled
	$(PYTHON) -m harness.tracking -m experiment=$(EXPERIMENTS) scale=$(SCALE) $(ARGS)

.PHONY: status
status: $(STAMP) ## how far the experiments of SCALE are, whoever runs them, and what the rest will take
	$(PYTHON) -m harness.status -m experiment=$(EXPERIMENTS) scale=$(SCALE) $(ARGS)

.PHONY: fetch
fetch: $(STAMP) ## download the weights and data sets of SCALE's experiments, for nodes without a network
	$(PYTHON) -m harness.cluster.fetch -m experiment=$(EXPERIMENTS) scale=$(SCALE) $(ARGS)

.PHONY: figures
figures: $(STAMP) ## draw every figure for which there are results, yours or published, into results/figures
	$(PYTHON) -m paper_figures --scale $(SCALE)

.PHONY: claims
claims: $(STAMP) ## say of every claim of the paper and of ours whether the records here reproduce it
	$(PYTHON) -m harness.claims

.PHONY: report
report: figures ## write results/report.html: verdicts, figures, tables and timelines in one file for the browser
	$(PYTHON) -m harness.report

.PHONY: artifact
artifact: $(STAMP) ## write ARTIFACT.md from results/claims.yaml
	$(PYTHON) -m harness.claims.artifact

.PHONY: test
test: $(STAMP) ## run all tests: unit tests first, then those on the real vLLM engine
	$(PYTHON) -m pytest -q -n 2 --dist loadscope -m "not engine and not gpu"
	$(PYTHON) -m pytest -q -m engine

.PHONY: unit
unit: $(STAMP) ## run the tests that need no engine
	$(PYTHON) -m pytest -q -n 2 --dist loadscope -m "not engine and not gpu"

.PHONY: conformance
conformance: $(STAMP) ## hold the engine side against its documented tables, on real servers
	$(PYTHON) -m harness.engine_checks.conformance

.PHONY: stress-engine
stress-engine: $(STAMP) ## short KV cache, 64 agents that misbehave, bystanders (SECONDS=120 on ours, as long on stock)
	$(PYTHON) -m harness.engine_checks.stress $(SECONDS)

.PHONY: lint
lint: $(STAMP) ## check style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright --pythonpath $(PYTHON)

.PHONY: simulate
simulate: $(STAMP) ## run the paper's grid on simulated engines, and say what it predicts of held-out figures
	$(PYTHON) -m harness.backends.simulated.simulate

.PHONY: simulate-scaling
simulate-scaling: $(STAMP) ## what a simulated turn costs, from 1 to 1024 agents
	$(PYTHON) -m harness.backends.simulated.scaling
	$(PYTHON) -m paper_figures simulate_scaling

.PHONY: simulator-check
simulator-check: $(STAMP) ## measure 54 cells, calibrate the simulator on a third of them, predict the others (15 minutes)
	$(PYTHON) -m harness.run experiment=simulator_check scale=$(SCALE)
	$(PYTHON) -m harness.simulator_check results/runs/$(SCALE)/simulator_check $(ARGS)
	$(PYTHON) -m paper_figures simulator_check

.PHONY: what-if
what-if: $(STAMP) ## what speculation will bring and which draft to pick (ARGS='FOLDER', or ARGS='--G 2 --T 1.5 --draft ...')
	$(PYTHON) -m harness.what_if $(ARGS)

.PHONY: simulate-adaptive
simulate-adaptive: $(STAMP) ## speculation off, always on and adaptive, where the draft is right in one half of the work
	$(PYTHON) -m harness.backends.simulated.adaptive

.PHONY: calibrate
calibrate: $(STAMP) ## fit the simulator to the paper's figures 1 and 6 (minutes)
	$(PYTHON) -m harness.backends.simulated.calibrate

.PHONY: lossless
lossless: $(STAMP) ## compare resident sequences with separate requests, token by token, on the real engine
	$(PYTHON) -m harness.engine_checks.lossless

.PHONY: bench-engine
bench-engine: $(STAMP) ## measure residency and drafts against separate requests at 1 to 32 agents (ARGS='--blocks 3')
	$(PYTHON) -m harness.engine_checks.bench $(ARGS)

.PHONY: agents-check
agents-check: $(STAMP) ## replay our own SWE and reasoning tasks with real tools in every arm (ARGS='--blocks 3 latency=...')
	$(PYTHON) -m harness.agents_check $(ARGS)

.PHONY: bench-forks
bench-forks: $(STAMP) ## measure forks of a workspace of 10,000 files, by copying and by overlay (ARGS='--folder DIR')
	$(PYTHON) -m harness.fork_bench $(ARGS)

.PHONY: bench-cells
bench-cells: $(STAMP) ## measure what listing, resuming and drawing take with 10,000 simulated cells (ARGS='--cells N')
	$(PYTHON) -m harness.cell_bench $(ARGS)

.PHONY: kill-check
kill-check: $(STAMP) ## kill a simulated sweep at random moments, and hold its tables against an undisturbed one (ARGS='--kills 5')
	$(PYTHON) -m harness.kill_check $(ARGS)

.PHONY: overhead
overhead: $(STAMP) ## measure what the client adds to a turn at 256 agents, speculation on and off (ARGS='--agents N --turns N --blocks N')
	$(PYTHON) -m harness.overhead $(ARGS)

.PHONY: ablation
ablation: $(STAMP) ## measure O1, O2 and O3 one by one, prefix caching on and off, beside the cost model
	$(PYTHON) -m harness.engine_checks.ablation $(ARGS)

.PHONY: mutations
mutations: $(STAMP) ## break the engine side in known ways, in a copy; each must turn a named test red
	$(PYTHON) -m harness.engine_checks.mutations

.PHONY: pocket-models
pocket-models: $(STAMP) ## train the pocket models from scratch (up to an hour on two cores; goes on where it stopped)
	$(PYTHON) -m harness.pocket.train $(ARGS)

.PHONY: pocket-eval
pocket-eval: $(STAMP) ## measure the pocket models on held-out tasks: accuracy, call acceptance, g/G (ARGS='--agents 1 8')
	$(PYTHON) -m harness.pocket.evaluate $(ARGS)

.PHONY: setup
setup: $(STAMP) ## make the environment of PLATFORM and nothing else

.PHONY: doctor
doctor: ## say what is missing on this machine and how to get it
	@python3 requirements/doctor.py $(PLATFORM)

.PHONY: lock
lock: ## resolve requirements/*.in into the lock files of both platforms (needs uv)
	requirements/lock.sh

.PHONY: clean
clean: ## remove environments and caches; results stay
	rm -rf .venv .cache .ruff_cache .hypothesis

$(PACKAGES): requirements/$(PLATFORM).txt requirements/install.sh
	requirements/install.sh $(PLATFORM) $(VENV)
	@touch $@

# vLLM finds plugins by the entry points of what is installed.
$(STAMP): $(PACKAGES) pyproject.toml
	$(VENV)/bin/pip install -q --no-deps --no-build-isolation -e .
	@touch $@
