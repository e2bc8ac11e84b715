# Two commands do everything: `make demo` and `make test`. Both make their own environment in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint
demo: .venv/installed
	$(BIN)/robustmm train
	$(BIN)/robustmm export
	$(BIN)/robustmm attack --noise gaussian --level 0.5
	$(BIN)/robustmm audit --suite quick

test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist worksteal

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train,test]'
	touch $@
