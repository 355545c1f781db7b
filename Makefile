# Two commands matter: `make up` runs the exchange, `make test` runs every check.
# Options for the exchange command go through ARGS: make up ARGS="--port 8100"

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS ?=
COVER := --cov --cov-report=term
# Tests run side by side, one worker for each processor and at most four. Each worker starts servers
# of its own.
PARALLEL := -n logical --maxprocesses=4 --dist worksteal

# Recorded order flow for the replay tests, where it lies beside the project; without it they skip.
EXCHANGE_MARKETDATA ?= $(wildcard $(CURDIR)/../shared/marketdata)
export EXCHANGE_MARKETDATA

.PHONY: audit up test unit coverage faults bench demo browser format check install install-dev constraints clean

up: install
	$(BIN)/exchange up $(ARGS)

demo: install
	$(BIN)/exchange demo $(ARGS)

bench: install
	$(BIN)/exchange bench all $(ARGS)

# With ARGS, which pick tests or add options, they run one after another and without coverage.
test: check
	$(BIN)/pytest $(if $(ARGS),$(ARGS),$(PARALLEL) $(COVER))

# The tests of single modules: no server, no process, no network.
unit: install-dev
	$(BIN)/pytest tests/unit $(ARGS)

# Chromium for the tests of the live page, as Debian packages it; it needs root. Without it these
# tests skip.
browser:
	command -v chromium || { apt-get update && apt-get install --yes --no-install-recommends chromium; }

# Coverage of the processes that the tests start as well, as HTML in htmlcov/. It takes about twice as
# long, so that the fault matrix, whose processes are killed, is left out.
coverage: install-dev
	$(BIN)/pytest $(PARALLEL) --cov --cov-config=tests/coverage-processes.toml --cov-report=term \
		--cov-report=html --ignore=tests/faults $(ARGS)

# Every row of the fault matrix: make faults KILLS=200 SEED=1
KILLS ?= 200
SEED ?= 1
faults: install-dev
	$(BIN)/python -m tests.faults --kills $(KILLS) --seed $(SEED) $(ARGS)

# Everything about the source that needs no server.
check: install-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Known weaknesses of the pinned packages. It asks advisories on the network, and fails where it
# cannot. The tool has an environment of its own, so that it pins nothing of ours.
audit:
	test -x $(VENV)-audit/bin/pip-audit || \
		{ $(PYTHON) -m venv $(VENV)-audit && $(VENV)-audit/bin/python -m pip --quiet install pip-audit; }
	for pins in constraints*.txt; do \
		$(VENV)-audit/bin/pip-audit --strict --disable-pip --no-deps --requirement $$pins || exit 1; \
	done

format: install-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install: $(VENV)/installed
install-dev: $(VENV)/installed-dev

# The stamps make a second run free; changed pins or metadata make it install again.
$(VENV)/installed: constraints.txt pyproject.toml protocol/version.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r constraints.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/installed-dev: constraints-dev.txt constraints-client.txt $(VENV)/installed
	$(PIP) install --require-hashes -r constraints-dev.txt
	$(PIP) install --require-hashes --no-deps -r constraints-client.txt
	touch $@

# Pins anew, with hashes and without index addresses: of the exchange with its embedded servers and
# reports, of the image for production (the core alone), and of what the tests need besides.
# `make constraints UPGRADE=` keeps every version that still fits.
UPGRADE ?= --upgrade
COMPILE := $(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-emit-trusted-host --build-deps-for editable

constraints: install-dev
	$(COMPILE) $(UPGRADE) --allow-unsafe --extra local --extra report --extra export \
		--output-file constraints.txt pyproject.toml
	$(COMPILE) $(UPGRADE) --allow-unsafe --constraint constraints.txt \
		--output-file constraints-production.txt pyproject.toml
	$(COMPILE) $(UPGRADE) --no-strip-extras --unsafe-package mini-exchange --extra dev --extra local --extra report --extra export \
		--constraint constraints.txt --output-file constraints-dev.txt pyproject.toml

clean:
	rm -rf $(VENV) $(VENV)-audit
