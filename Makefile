# Every target sets up what it needs; a set-up that is there already costs a fraction of a second.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTRUCTOR := .local/instructor
OPIK := .local/opik

# Handed to the demo through the environment, so that no character of a name or link means anything to make or sh.
override AUTHOR := $(value AUTHOR)
override LINKS := $(value LINKS)

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev setup-lint demo twin up down status test lint format bench chaos reference clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## virtual environment, requirements, RabbitMQ, MongoDB
	@$(PYTHON) include/llmtwin/local/bootstrap.py

setup-dev:
	@$(PYTHON) include/llmtwin/local/bootstrap.py --dev

setup-lint:
	@$(PYTHON) include/llmtwin/local/bootstrap.py --dev --no-servers

demo: export DEMO_AUTHOR := $(AUTHOR)
demo: export DEMO_LINKS := $(LINKS)
demo: ## start everything, crawl, search; AUTHOR="Full Name" LINKS="url-or-path …" for your own
	@began=$$(date +%s); $(PYTHON) include/llmtwin/local/bootstrap.py && set -f && \
	LLMTWIN_SETUP_SECONDS=$$(($$(date +%s) - began)) $(BIN)/llmtwin demo $${DEMO_AUTHOR:+--author "$$DEMO_AUTHOR"} -- $$DEMO_LINKS

twin: export TWIN_AUTHOR := $(AUTHOR)
twin: export TWIN_LINKS := $(LINKS)
twin: ## dataset, training, evaluation, approval: serve a twin; YES=1 approves what passes the gate
	@$(PYTHON) include/llmtwin/local/bootstrap.py && set -f && \
	$(BIN)/llmtwin twin $(if $(YES),--yes) $${TWIN_AUTHOR:+--author "$$TWIN_AUTHOR"} -- $$TWIN_LINKS

up: setup ## start the local stack
	@$(BIN)/llmtwin up

down: ## stop the local stack
	@[ ! -x $(BIN)/llmtwin ] || $(BIN)/llmtwin down

status: setup ## show every service
	@$(BIN)/llmtwin status

test: setup-dev ## the suite but chaos and reference, against real servers on free ports
	@$(BIN)/pytest -m "not chaos and not reference"

lint: setup-lint ## ruff and mypy
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: setup-lint ## format the code
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: setup-dev ## benchmarks, as ratios within one run; NAMES="cdc drain …" for some
	@$(BIN)/python tests/benchmarks $(NAMES)

chaos: setup-dev ## the tests that kill processes at random moments
	@$(BIN)/pytest -m chaos

reference: setup-dev $(INSTRUCTOR)/complete $(OPIK)/complete ## run what needs packages of its own: InstructorEmbedding, Opik's client
	@$(BIN)/pytest -m reference

# A CPU build of torch where one is to be had: from where pip looks anyway, or from PyTorch; PyPI's brings gigabytes of CUDA.
$(INSTRUCTOR)/complete: requirements-instructor.txt
	@echo "installing $< into $(INSTRUCTOR): some minutes, once"
	@rm -rf $(INSTRUCTOR) && $(PYTHON) -m venv $(INSTRUCTOR)
	@torch=$$(grep '^torch==' $<); set -- $(INSTRUCTOR)/bin/pip -qq --disable-pip-version-check install; \
	"$$@" $$torch+cpu 2>/dev/null || "$$@" --index-url https://download.pytorch.org/whl/cpu $$torch+cpu 2>/dev/null || \
	"$$@" $$torch
	@$(INSTRUCTOR)/bin/pip -qq --disable-pip-version-check install --no-deps --requirement $<
	@touch $@

# Beside the environment, not in it: Opik's client wants other versions of what the tests use.
$(OPIK)/complete: requirements-opik.txt
	@echo "installing $< into $(OPIK): a minute, once"
	@rm -rf $(OPIK)
	@$(BIN)/pip -qq --disable-pip-version-check install --target $(OPIK) --requirement $<
	@touch $@

clean: down ## stop the stack; remove .local and .venv
	rm -rf .local .venv
