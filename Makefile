# make help        lists the targets
# make dev check   is what to run before sending a change

VENV ?= .venv
BIN = $(VENV)/bin
SCRIPTS = examples benchmarks tests

.DEFAULT_GOAL := help
.PHONY: help dev check lint types test packaging bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dev:  ## make the virtual environment and install the project into it, editable
	python3 -m venv $(VENV)
	$(BIN)/pip install -q -e ".[test,dev]"

check: lint types test  ## all that must be green

lint:  ## ruff
	$(BIN)/ruff check .

types:  ## mypy, strict
	$(BIN)/mypy
	$(BIN)/mypy --strict benchmarks/generate.py benchmarks/run.py examples/make_example.py examples/make_street.py docs/picture.py

test:  ## the tests
	$(BIN)/pytest -q

packaging:  ## only the tests that build the wheel
	$(BIN)/pytest -q -m packaging

bench:  ## time 5,000 images; for more: python benchmarks/run.py --help
	$(BIN)/python benchmarks/run.py

clean:  ## remove what tools leave behind
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis nucleus_convert.egg-info benchmarks/data
