.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

help: ## print this menu
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

.venv/ready: setup.cfg setup.py pyproject.toml
	@[ -e homelab_hooks ] || ln -s hooks homelab_hooks # an sdist has no links
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip 'setuptools>=77'
	PYTHONWARNINGS='ignore:Compat editable' $(BIN)/python -m pip install --quiet --editable '.[dev]' --config-settings editable_mode=compat
	@touch .venv/ready

setup: .venv/ready ## environment with everything installed, editable

demo: .venv/ready ## start, a refused push, land and a claimed apply, on a throwaway remote
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh docs/demo.sh

check: .venv/ready ## linters, types, import rules, generated documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/reference.py --check

test: .venv/ready ## everything but slow
	$(BIN)/python -m pytest -n 2 -m 'not slow'

test-slow: .venv/ready ## kills, races, real installs, and the longer ways through the program
	$(BIN)/python -m pytest -n 2 -m slow

bench: .venv/ready ## what a push, a landing and a claim cost, beside the peers
	$(BIN)/python -m bench $(ARGS)

docs: .venv/ready ## write docs/reference.md and the README's transcripts again
	$(BIN)/python docs/reference.py
	$(BIN)/python -m tests.support.transcript README.md
	$(BIN)/python -m tests.support.transcript docs/getting-started.md

.PHONY: help setup demo check test test-slow bench docs
