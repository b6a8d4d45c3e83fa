# Common tasks; `make help` lists them.
PYTHON ?= python3
PIP_ARGS ?=
ARGS ?=
BIN := .venv/bin
PAGE := src/metastyle/studio/page/index.html

.DEFAULT_GOAL := help
.PHONY: help demo studio test check page browser fix docs examples clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

demo: .venv/metastyle ## set up, adapt to a painting, repaint a photograph, print where the pictures are
	@$(BIN)/python examples/demo.py

studio: .venv/studio $(PAGE) ## set up, build the page where a painting becomes a filter, and open it
	@$(BIN)/metastyle studio $(ARGS)

test: .venv/dev ## set up, then lint, types, import rules and the whole test suite
	@$(BIN)/metastyle weights --fetch --quiet || echo "tests that need VGG-16 will be skipped"
	$(MAKE) --no-print-directory check
	@if ! command -v npm >/dev/null; then echo "npm is not installed: the studio's page is not tested"; \
	elif $(MAKE) --no-print-directory studio/node_modules; then $(MAKE) --no-print-directory page; \
	else echo "npm packages are not available: the studio's page is not tested"; fi
	@echo "The studio's page in Chromium, where that is installed (make browser: all of it) ..."
	@METASTYLE_BROWSER=if-it-starts OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rs tests/studio/test_page.py \
		tests/studio/test_page_films.py || [ $$? -eq 5 ]  # 5: skipped
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

check: .venv/dev ## lint, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

page: $(PAGE) ## lint, types and unit tests of the studio's page
	cd studio && npm run --silent check && npm run --silent test

browser: .venv/dev $(PAGE) ## drive the studio's page in Chromium: minutes, and all of two cores
	METASTYLE_BROWSER=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/studio/test_page*.py

fix: .venv/dev ## format, and fix what the linter can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/dev ## regenerate the generated pages
	$(BIN)/python scripts/make_cli_docs.py
	$(BIN)/python scripts/make_api_docs.py

examples: .venv/metastyle ## redraw the example paintings and photographs
	$(BIN)/python examples/draw.py

clean: ## remove the environment and what the demo wrote
	rm -rf .venv out

$(PAGE): studio/node_modules studio/index.html $(shell find studio/src studio/public studio/*.ts -type f)
	cd studio && npm run --silent build

studio/node_modules: studio/package-lock.json
	@echo "Installing the page's packages ..."
	cd studio && npm ci --silent --no-audit --no-fund
	@touch $@

.venv/bin/python:
	@echo "Setting up .venv ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "metastyle needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .venv

# constraints.txt keeps torch at a CPU build; PIP_ARGS passes anything else to pip, such as another index.
.venv/metastyle: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing metastyle and what it needs (torch is large: a few minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e .
	@touch $@

.venv/studio: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing metastyle and the studio's server ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[studio,video]'
	@touch $@ .venv/metastyle

.venv/dev: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing metastyle and its development tools ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	@touch $@ .venv/metastyle .venv/studio
