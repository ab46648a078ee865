# The course in a handful of commands; `make` alone explains them. Needs Python >= 3.11 and make.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.PHONY: help install demo lab test contract check fmt bench book lock clean

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP_INSTALL := -m pip install --disable-pip-version-check --no-input --quiet --quiet
# One BLAS thread: the same sums in the same order everywhere, and no fight over the cores.
ONE_THREAD := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
WORKERS ?= 2
PYTEST_ARGS ?=
PORT ?= 8888
# torch's own index of wheels without CUDA, which are a tenth of the size of the others
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

help: ## Explain the commands (this text)
	@printf 'The TinyTorch optimization tier. Begin with: make demo, then: make lab\n\n'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16
	@printf '\nEverything is installed into .venv on first use (about a minute). README.md tells more.\n'

install: $(INSTALLED) ## Install everything into .venv (the others do this by themselves)

$(INSTALLED): requirements.lock pyproject.toml .ci/find-python
	@python="$$(.ci/find-python)" && echo "Making .venv with $$python ..." && \
		"$$python" -m venv $(VENV)
	@echo "Installing the packages of requirements.lock (about a minute, once) ..."
	@$(BIN)/python $(PIP_INSTALL) --no-compile --require-hashes -r requirements.lock
	@$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "Installed."

demo: $(INSTALLED) ## Build, release and grade a small class, and show the gradebook
	$(BIN)/tito build
	$(BIN)/tito export
	$(BIN)/tito release
	$(ONE_THREAD) $(BIN)/tito demo

lab: $(INSTALLED) ## Open JupyterLab on the lessons (PORT=8888)
	$(BIN)/python -m tito.lab . --ServerApp.port=$(PORT)

test: $(INSTALLED) ## Run the tests (WORKERS=2, PYTEST_ARGS="-k conv")
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

contract: $(INSTALLED) ## Prove every lesson's grading: each planted mistake, each honest solution
	$(ONE_THREAD) $(BIN)/tito contract

check: $(INSTALLED) ## Check format, lint, types, generated files and that no answer leaked
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/tito audit

fmt: $(INSTALLED) ## Format the code and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv-bench/.installed ## Measure against PyTorch and ONNX Runtime (its own .venv-bench)
	$(ONE_THREAD) .venv-bench/bin/python -m benchmarks

.venv-bench/.installed: benchmarks/requirements.lock benchmarks/torch.txt .ci/find-python
	@python="$$(.ci/find-python)" && echo "Making .venv-bench (PyTorch for CPU, 200 MB) ..." && \
		"$$python" -m venv .venv-bench
	@.venv-bench/bin/python $(PIP_INSTALL) --require-hashes -r benchmarks/requirements.lock
	@.venv-bench/bin/python $(PIP_INSTALL) --no-deps --retries 1 \
		--extra-index-url $(TORCH_INDEX) -r benchmarks/torch.txt
	@touch $@

book: $(INSTALLED) .venv-book/.installed ## Build the course book (its own .venv-book)
	.venv-book/bin/python book/build.py
	$(BIN)/tito audit --leaks

.venv-book/.installed: book/requirements.lock .ci/find-python
	@python="$$(.ci/find-python)" && echo "Making .venv-book ..." && "$$python" -m venv .venv-book
	@.venv-book/bin/python $(PIP_INSTALL) --no-compile --require-hashes -r book/requirements.lock
	@touch $@

lock: $(INSTALLED) ## Pin every package anew: requirements.lock and the book's and benchmarks' own
	@$(BIN)/python $(PIP_INSTALL) "uv>=0.5"
	.ci/lock $(BIN)/uv

clean: ## Remove caches and built pages (never submissions, marks or environments)
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis book/_build dist build
	find tinytorch tito tests benchmarks book modules -name __pycache__ -type d -prune \
		-exec rm -rf {} +
