# What a newcomer types. Needs nothing but Python >= 3.11 with its venv module: each target makes
# .venv from the hash-pinned requirements first, and uses it again the next time.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Wheels only: the build of a source distribution would fetch packages that no hash pins. What a lock
# lists and nothing else: where a package asks for an extra of another (pytest-cov for coverage[toml]),
# pip's resolver looks at the newest release first, and stops because that one isn't in the lock.
INSTALL := $(PIP) install --quiet --no-deps --require-hashes --only-binary :all:

# One more than cores: some tests wait.
WORKERS := --numprocesses=3 --dist=worksteal

# Where a branch that no test takes is an error of its own (make test).
FULLY_COVERED := src/imaging_gears/errors.py,src/imaging_gears/model/*,src/imaging_gears/dicom/*,$\
  src/imaging_gears/image_identifier_lookup/processor.py,$\
  src/imaging_gears/image_identifier_lookup/extraction.py,$\
  src/imaging_gears/image_identifier_lookup/report.py,$\
  src/imaging_gears/dicom_send/main.py,src/imaging_gears/dicom_send/report.py,$\
  src/imaging_gears/gear/job.py,src/imaging_gears/gear/qc.py

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: .venv/.stamp ## watch the gear work on a local Flywheel site (ARGS=--json for a program)
	@$(BIN)/image-identifier-lookup demo $(ARGS)

.PHONY: demo-send
demo-send: .venv/.stamp ## watch dicom-send send a session to a DICOM server (needs DCMTK's storescp)
	@$(BIN)/python -m imaging_gears.dicom_send.cli demo

.PHONY: test
test: .venv/.stamp ## run the tests with branch coverage, then the slow ones (with ARGS= pytest with these)
ifdef ARGS
	@$(BIN)/python -m pytest $(WORKERS) $(ARGS)
else
	@$(BIN)/python -m pytest $(WORKERS) -m 'not slow' --cov --cov-report=term
	@$(BIN)/python -m coverage report --include='$(FULLY_COVERED)' --fail-under=100
	@$(BIN)/python -m pytest $(WORKERS) -m slow
endif

.PHONY: check
check: .venv/.stamp ## ruff, mypy, import rules, manifests, README commands
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m tools.validate_manifest manifest.json $(wildcard gears/*/manifest.json)
	@$(BIN)/python -m tools.check_readme README.md

.PHONY: bench
bench: .venv/.stamp ## requests, bytes, CPU and memory of a run, against their bounds
	@$(BIN)/python -m benchmarks.run $(ARGS)

.PHONY: bench-send
bench-send: .venv/.stamp ## dicom-send's speed and memory, against DCMTK's storescu on this machine
	@$(BIN)/python -m benchmarks.send $(ARGS)

.PHONY: soak
soak: .venv/.stamp ## many jobs of one visit at the same moment, round after round (ARGS='--rounds 20')
	@$(BIN)/python -m benchmarks.soak $(ARGS)

.PHONY: faults
faults: .venv/.stamp ## every external call of a run, failing in every way
	@$(BIN)/python -m benchmarks.faults $(ARGS)

.PHONY: kills
kills: .venv/.stamp ## kill -9 before and after every request, then run again (ARGS=--pairs and others)
	@$(BIN)/python -m benchmarks.kills $(ARGS)

.PHONY: fuzz
fuzz: .venv/.stamp ## damaged images and archives: nothing but the project's own errors (ARGS='1000000 1')
	@$(BIN)/python -m tests.fuzz.run $(ARGS)

LOCK := .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --only-binary :all: --no-emit-index-url --no-annotate --custom-compile-command "make lock"

.PHONY: lock
lock: ## resolve requirements/*.txt anew (needs a package index; the other targets need no uv)
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(LOCK) --upgrade --extra dev --output-file requirements/dev.txt pyproject.toml requirements/build.in
	$(LOCK) --constraint requirements/dev.txt --extra send --output-file requirements/gear.txt pyproject.toml
	$(LOCK) --constraint requirements/dev.txt --output-file requirements/build.txt requirements/build.in
	rm -rf .venv-lock

.venv/.stamp: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
	  "imaging-gears needs Python 3.11 or newer. Name one: make PYTHON=python3.12 ...")'
	@echo 'Setting up .venv (once, about a minute)' >&2
	@$(PYTHON) -m venv .venv
	@$(INSTALL) --requirement requirements/dev.txt
	@$(PIP) install --quiet --no-build-isolation --no-deps --editable .
	@$(PIP) check --quiet
	@touch $@
