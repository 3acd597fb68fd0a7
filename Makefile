# Two commands do their own set-up on a machine with Python >= 3.11 and make:
#   make run     the service with an example, to look at
#   make test    every test but the long ones
# `make help` prints the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# PYTHON may name any interpreter: make test PYTHON=python3.13
PYTHON ?= python3
# ARGS goes to the tool: make test ARGS='-k bucketing'
ARGS ?=
JOBS ?= logical

BIN := .venv/bin
STAMP := .venv/.installed
CODE := sdk rollout_server tests scripts $(sort $(foreach path,$(wildcard examples/*.py examples/*/*.py benchmarks/*.py benchmarks/*/*.py),$(firstword $(subst /, ,$(path)))))
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate

.PHONY: help
help: ## Print this
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Use it

.PHONY: run
run: $(STAMP) ## Start the service with the example shop
	@exec $(BIN)/rollout dev $(ARGS)

.PHONY: demo
demo: $(STAMP) ## A good release completes, a bad one is taken back: two minutes, real processes
	@exec $(BIN)/rollout demo $(ARGS)

.PHONY: demo-redis
demo-redis: $(STAMP) ## The same on two servers and a Redis: the one that drives is killed amid the bad release
	@exec $(BIN)/rollout demo --redis $(ARGS)

.PHONY: test
test: $(STAMP) ## Run every test but soak and bench
	@$(BIN)/pytest -n $(JOBS) --dist loadgroup $(ARGS)

.PHONY: setup
setup: $(STAMP) ## Make .venv with the locked versions; quick when nothing changed

##@ Before a commit

.PHONY: fmt
fmt: $(STAMP) ## Format, and fix what can be fixed
	@$(BIN)/ruff check --quiet --fix-only $(ARGS)
	@$(BIN)/ruff format $(ARGS)

.PHONY: check
check: lint types contracts proto-check ## Everything that is read and not run: what CI runs before the tests
	@echo "check: all good"

.PHONY: lint
lint: $(STAMP) ## Lint and formatting
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

.PHONY: types
types: $(STAMP) ## mypy --strict over everything
	@$(BIN)/mypy $(CODE)

.PHONY: contracts
contracts: $(STAMP) ## Who may import whom
	@$(BIN)/lint-imports --no-cache --no-logo

.PHONY: rooms
rooms: $(STAMP) ## The rooms: contracts, mirrors, sizes, freshness, wheel
	@$(BIN)/pytest tests/rooms -n $(JOBS) $(ARGS)

##@ The contract on the wire

.PHONY: proto
proto: $(STAMP) ## Write sdk/rollout_sdk/wire/v1 from proto/
	@$(BIN)/python scripts/gen_proto.py

.PHONY: proto-check
proto-check: $(STAMP) ## Generated code is fresh, protos are tidy and break no client
	@$(BIN)/python scripts/gen_proto.py --check
	@$(BIN)/buf lint
	@$(BIN)/buf breaking --against proto/baseline.binpb

.PHONY: proto-baseline
proto-baseline: $(STAMP) ## At a release: what `buf breaking` compares with from now on
	@$(BIN)/buf build --as-file-descriptor-set --exclude-source-info -o proto/baseline.binpb

##@ Longer

.PHONY: test-all
test-all: $(STAMP) ## Every test, soak included
	@$(BIN)/pytest -n $(JOBS) --dist loadgroup -m "not bench" $(ARGS)

.PHONY: soak
soak: $(STAMP) ## Only the long ones
	@$(BIN)/pytest -m soak $(ARGS)

.PHONY: test-compiled
test-compiled: $(STAMP) ## Compile the engine and run its tests over that; a minute
	@python=$$($(BIN)/python scripts/wheel_environment.py compiled) && \
		$$python -c 'import rollout_sdk.engine.decide as it; assert not it.__file__.endswith(".py"), it.__file__' && \
		$$python -m pytest -p no:cacheprovider tests/unit/sdk/engine tests/unit/sdk/test_telemetry.py tests/unit/sdk/test_client.py \
			$(addprefix tests/properties/test_,evaluation.py total_evaluation.py exposure.py exposure_machine.py mutated_snapshots.py preview.py) $(ARGS)

.PHONY: bench
bench: $(STAMP) ## Measure the SDK beside others, as ratios; ARGS=--quick for a short form
	@$(BIN)/python -m benchmarks.sdk --compiled $(ARGS)

.PHONY: bench-all
bench-all: bench ## The same, and the guardrails: half an hour more
	@$(BIN)/pytest $(wildcard benchmarks) tests -m bench

##@ Release

.PHONY: lock
lock: $(STAMP) ## Write requirements/*.lock anew; UPGRADE=1 takes newer versions
	@$(LOCK) $(if $(UPGRADE),--upgrade) pyproject.toml --extra all --group dev -o requirements/dev.lock
	@$(LOCK) $(if $(UPGRADE),--upgrade) pyproject.toml --extra all -c requirements/dev.lock -o requirements/server.lock
	@$(LOCK) $(if $(UPGRADE),--upgrade) --group pyproject.toml:image -c requirements/dev.lock -o requirements/build.lock
	@for wanted in benchmarks/sdk/requirements/*.in; do $(LOCK) $(if $(UPGRADE),--upgrade) $$wanted -o $${wanted%.in}.lock; done

.PHONY: build
build: $(STAMP) ## sdist and wheel into dist/
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation

.PHONY: wheel-test
wheel-test: $(STAMP) ## Install the wheel alone and with its extra, and use both
	@$(BIN)/pytest tests/rooms/test_wheel.py $(ARGS)

.PHONY: clean
clean: ## Remove all that make made
	@rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Rollout Guard needs Python 3.11 or newer. '$(PYTHON)' is not; name another: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' comes without venv. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@[ -x $(BIN)/python ] && $(BIN)/python -c 'import pip' 2>/dev/null || { rm -rf .venv; $(PYTHON) -m venv .venv; }
	@echo "setup: installing the locked versions into .venv" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
