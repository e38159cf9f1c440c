# The commands of this repository. `make` alone lists them.
SHELL := /bin/bash
PYTHON ?= python3
READY := .venv/.ready
DIR ?=
PORT ?= 3000

.PHONY: help setup demo demo-batch scale-demo docs test lint dev bench bench-quick bench-large lock clean
help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(READY) ## create the virtual environment from requirements.lock

# The stamp is written last, so that make repeats an interrupted installation.
$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 …"; exit 2; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@# As an installed wheel has it: where Python may not write bytecode, each start would compile all modules again.
	.venv/bin/python -m compileall -q fixity fixity_assets fixity_cli jobs resources sensors
	@touch $(READY)

demo: $(READY) ## verify and repair a source and its replica, damaged on purpose, and show the UI until Ctrl-C; DIR=folder uses copies of your own files
	.venv/bin/python -m demo --port $(PORT) $(if $(DIR),--files "$(DIR)")

demo-batch: $(READY) ## show checksums computed by S3, from the job to the report, on this machine
	.venv/bin/python -m demo.batch

scale-demo: $(READY) ## show a bucket spread over three workers, one of which is killed (needs redis-server, postgresql)
	.venv/bin/python -m demo.scale

# Four processes: more waits than there is to compute. Bytecode is written, since dozens of processes start.
# Temporary files are in memory where 4 GiB are free: each test makes hundreds of small ones and syncs them.
test: $(READY) ## run all tests, in random order; a warning is an error
	room=$$(df --output=avail /dev/shm 2>/dev/null | tail -1); [ "$${room:-0}" -lt 4194304 ] || export TMPDIR=/dev/shm; \
	PYTHONDONTWRITEBYTECODE= .venv/bin/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

lint: $(READY) ## run ruff, the type checker and the import contracts
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache --no-logo

dev: $(READY) ## start the Dagster UI on http://127.0.0.1:PORT (3000), with the catalog in FIXITY_CATALOG, else fixity.yaml
	.venv/bin/fixity dev --port $(PORT)

docs: $(READY) ## build the documentation as a site in .site/; a broken link is an error
	.venv/bin/python -m sphinx --fail-on-warning --keep-going --quiet -c docs . .site

bench: $(READY) ## compare our speed with rclone, boto3 and others; writes bench/RESULTS.md
	.venv/bin/python -m bench

bench-quick: $(READY) ## run every benchmark on little data, to see that each still runs, as `make test` does
	.venv/bin/python -m bench --quick

bench-large: $(READY) ## compare 100 million rows a side (needs about 60 GB of disk), and check 300 buckets
	.venv/bin/python -m bench --large

# The second one is what an image needs: the same versions without the tools, and what builds our wheel.
lock: ## make requirements.lock and deploy/requirements.lock again from pyproject.toml
	.venv/bin/uv pip compile --quiet --universal --no-strip-extras --python-version 3.11 --no-emit-index-url --generate-hashes --extra dev pyproject.toml -o requirements.lock
	echo hatchling | .venv/bin/uv pip compile --quiet --universal --no-strip-extras --python-version 3.11 --no-emit-index-url --generate-hashes --extra aws --extra celery --extra docker --extra k8s --extra postgres --extra s3-metadata -c requirements.lock pyproject.toml - -o deploy/requirements.lock

clean: ## remove the virtual environment and the data of demos and benchmarks; never your lake or runs
	rm -rf .venv .demo .demo-batch .demo-scale .bench .site
