# Every target works as the first command on a fresh checkout with Python 3.10, 3.11 or 3.12.
#
#   make demo        a talking video from the sample portrait, into out/demo.mp4
#   make test        the quick tests
#   make test-all    all tests, also slow ones and those that need a GPU (skipped without one)
#   make style       ruff check, ruff format --check, mypy
#   make docs        the documentation site, into out/site; a broken link is an error
#   make golden      render the golden images anew (look at the difference before committing)
#   make bench       the benchmarks: the renderer, and avatars of a folder's pictures (PORTRAITS=…)
#   make setup       only the virtual environment .venv (every other target does it first)
#
# PYTHON=/path/to/python3.11 picks the interpreter. TORCH='…' holds the arguments with which pip
# installs PyTorch, where the default would bring a CUDA build that is not wanted.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all style docs golden bench

VENV := .venv
BIN := $(VENV)/bin
TORCH ?=
export TORCH
PORTRAITS ?= assets
# Two OpenMP runtimes (PyTorch's and numba's) spin against each other unless idle threads sleep.
export OMP_WAIT_POLICY ?= passive

help:
	@sed -n 's/^#   //p' Makefile

setup:
	@PYTHON='$(PYTHON)' sh scripts/setup.sh $(VENV)

demo: setup
	@echo 'demo: animating assets/portrait.png with assets/speech.wav, three views, into out/demo.mp4'
	@mkdir -p out
	$(BIN)/talkcli animate assets/portrait.png assets/speech.wav --views -30,0,30 -o out/demo.mp4 -y

test: setup
	@echo 'test: the quick tests (make test-all runs the slow ones as well)'
	$(BIN)/python -m pytest -m 'not slow and not gpu' --numprocesses 2 --dist worksteal

test-all: setup
	@echo 'test-all: every test; those whose footage or GPU is missing are skipped'
	$(BIN)/python -m pytest

style: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy talkcli scripts $(if $(wildcard benchmarks/*.py),benchmarks)

docs: setup
	@$(BIN)/python -c 'import material, mkdocstrings_handlers.python' 2>/dev/null || \
		{ echo 'docs: installing the docs extra'; $(BIN)/python -m pip install --quiet -e '.[docs]'; }
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --clean
	@echo 'docs: open out/site/index.html'

golden: setup
	@echo 'golden: rendering the golden images anew; check them with git diff before committing'
	TALKCLI_UPDATE_GOLDEN=1 $(BIN)/python -m pytest tests/golden

bench: setup
	@echo 'bench: the renderer against its baselines (talkcli bench measures whole videos)'
	$(BIN)/python -m benchmarks.render
	@echo 'bench: portrait quality over $(PORTRAITS) (choose with PORTRAITS=folder); sheets in out/quality'
	$(BIN)/python benchmarks/portrait_quality.py $(PORTRAITS) -o out/quality
