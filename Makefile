# Everything that a contributor needs; CI runs the same targets. All paths are relative, so that the folder's
# name may hold spaces.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.NOTPARALLEL:

CARGO ?= cargo
VENV := .venv
PYTHON_IN_VENV := $(VENV)/bin/python
IMAGE ?= tollgate/source-s3:dev
# What pytest is given, for example: make acceptance PYTEST_ARGS="-k protocol -x"
PYTEST_ARGS ?=
# What record.py is given: --all, --ours, or a part of the names of cases
RECORD_ARGS ?=
FUZZ_SECONDS ?= 300

.PHONY: differential-peer differential-record help demo test unit integration acceptance lint fmt clippy deny cycles build dist image bench bench-cost fuzz venv clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: ## Read real public data out of a local S3 server and show what happened
	@$(CARGO) build --release --locked --workspace
	@python3 scripts/demo.py

test: venv ## All tests: unit, integration, acceptance (of the binary that `cargo test` built: no second build)
	$(CARGO) test --locked --workspace
	TOLLGATE_BIN="$(CURDIR)/target/debug/tollgate" TESTKIT_BIN="$(CURDIR)/target/debug/testkit" \
		$(PYTHON_IN_VENV) -m pytest acceptance-tests $(PYTEST_ARGS)

unit: ## Tests beside the code
	$(CARGO) test --locked --workspace --lib --bins

integration: ## Tests of the library and of whole commands against the testkit server
	$(CARGO) test --locked --workspace --test '*'

acceptance: build venv ## Black-box tests of the release binary: protocol, errors, PyAirbyte, Airbyte's own suites
	$(PYTHON_IN_VENV) -m pytest acceptance-tests $(PYTEST_ARGS)

lint: fmt clippy deny cycles ## Format, lints, licences, bans and sources of dependencies, import cycles

fmt: ## Check the format (cargo fmt --all mends it)
	$(CARGO) fmt --all --check

clippy: ## Lints, as errors
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

deny: ## Licences, bans and sources of dependencies (installs cargo-deny once)
	scripts/cargo-deny.sh

cycles: ## No two modules of a crate import each other, not even through others
	@python3 scripts/module_cycles.py crates/* src

build: ## Release binaries: target/release/tollgate and target/release/testkit
	$(CARGO) build --release --locked --workspace

dist: ## The binary that is shipped and measured: target/dist/tollgate (minutes to build, a fifth less CPU)
	$(CARGO) build --profile dist --locked --bin tollgate

image: dist ## The connector's image; IMAGE names it (needs docker)
	scripts/image.sh "$(IMAGE)"

bench: dist bench-cost ## Compare with other readers on the same data in one run; writes benches/results.md (about 40 minutes)
	TOLLGATE_BIN="$(CURDIR)/target/dist/tollgate" python3 benches/peers/peers.py

bench-cost: ## Hold estimates against the server's log of requests; writes benches/cost.md
	$(CARGO) test --locked --test integration cost:: -- --nocapture --include-ignored > target/cost.txt
	{ sed '/^| scenario/q' benches/cost.md; echo '|---|---|--:|--:|--:|'; grep '^| ' target/cost.txt | sed 's/-0\.00 %/+0.00 %/' | sort; } > target/cost.md
	mv target/cost.md benches/cost.md

fuzz: ## Search for inputs that break a decoder, FUZZ_SECONDS for each target (needs a C++ compiler)
	scripts/fuzz.sh $(FUZZ_SECONDS)

differential-peer: ## Install the connector that we replace, so that the tests run it too (1 GB into .cache)
	@python3 -c 'import sys; sys.path[:0] = ["benches/peers", "scripts"]; import peers; print(peers.environment("airbyte", "requirements-airbyte.txt", ("--no-deps", peers.AIRBYTE)))'

differential-record: venv differential-peer ## Record what the connector that we replace does with new cases of the differential test
	$(PYTHON_IN_VENV) acceptance-tests/differential/record.py $(RECORD_ARGS)

venv: ## The Python environment of the acceptance tests
	@scripts/venv.sh $(VENV) acceptance-tests/requirements.txt

clean: ## Remove what was built, downloaded and installed here
	$(CARGO) clean
	rm -rf $(VENV) .cache
