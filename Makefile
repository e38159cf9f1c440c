# The commands of this repository. `make` alone lists them.
SHELL := /bin/bash
PYTHON ?= python3
READY := .venv/.ready
DIR ?=
PORT ?= 3000

.PHONY: help setup demo demo-batch test lint dev bench bench-large lock clean
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(READY) ## the virtual environment, from the lock

# The stamp is written last: an interrupted installation is taken up again.
$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 …"; exit 2; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY) ## a source, its replica, damage on purpose, and the report; DIR=folder takes your own files
	.venv/bin/python -m demo $(if $(DIR),--files "$(DIR)")

demo-batch: $(READY) ## checksums computed by S3: jobs, events, tables, report, on this machine
	.venv/bin/python -m demo.batch

test: $(READY) ## all tests, in random order; a warning is an error
	.venv/bin/python -m pytest -n 4 --dist loadfile  # more waits on servers than there is to compute

lint: $(READY) ## ruff, the type checker, and which room may import which
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache --no-logo

dev: $(READY) ## the Dagster UI on http://127.0.0.1:PORT (3000), with the catalog of FIXITY_CATALOG, else fixity.yaml here
	.venv/bin/fixity dev --port $(PORT)

bench: $(READY) ## ours beside rclone, boto3 and others; writes bench/RESULTS.md
	.venv/bin/python -m bench

bench-large: $(READY) ## the report over 100 million rows a side (about 60 GB of disk)
	.venv/bin/python -m bench --large

lock: ## requirements.lock anew from pyproject.toml
	.venv/bin/uv pip compile --quiet --universal --no-strip-extras --python-version 3.11 --no-emit-index-url --generate-hashes --extra dev pyproject.toml -o requirements.lock

clean: ## remove the virtual environment, the demo and the benchmarks' data; never your lake or runs
	rm -rf .venv .demo .demo-batch .bench
