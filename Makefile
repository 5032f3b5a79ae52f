# Everything from a bare Python 3.11+: `make demo` runs the main job, `make test` the checks.
PYTHON ?= python3
UV := .tools/bin/uv
RUN := $(UV) run --frozen --no-sync
# PyTorch's own index has wheels without CUDA for Linux x86-64, a fraction in size: taken where it
# can be reached and no NVIDIA card is there. `make CPU_INDEX= ...` takes the locked ones.
CPU_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: help demo test format clean
.DEFAULT_GOAL := help

help: ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(UV):
	@echo "== setting up: uv (package manager) into .tools/"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "workzone needs Python 3.11 to 3.13; name one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .tools 'uv>=0.8'

.venv/.ready: $(UV) uv.lock pyproject.toml
	@echo "== setting up: the locked packages into .venv/ (PyTorch included: a few gigabytes)"
	@$(UV) venv --quiet --clear --python $$($(PYTHON) -c 'import sys; print(sys.executable)')
	@{ [ -n '$(CPU_INDEX)' ] && [ "$$(uname -sm)" = 'Linux x86_64' ] && ! command -v nvidia-smi >/dev/null \
	  && $(PYTHON) -c "import urllib.request; urllib.request.urlopen('$(CPU_INDEX)/torch/', timeout=5)" 2>/dev/null \
	  && $(UV) export --frozen --quiet --no-hashes | grep -vE '^(cuda-|nvidia-|triton)' > .venv/packages.txt \
	  && $(UV) pip install --quiet --no-deps --index '$(CPU_INDEX)' --index-strategy unsafe-best-match -r .venv/packages.txt \
	  && .venv/bin/python -c 'import torch'; } || $(UV) sync --frozen --quiet
	@touch $@

demo: .venv/.ready ## the main job, from images to a report, on drawn scenes or on WORKZONE_PHOTOS
	@$(RUN) workzone demo

test: .venv/.ready ## format, lint, types and tests
	@echo "== format and lint"
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@echo "== types"
	@$(RUN) mypy
	@echo "== tests"
	@$(RUN) pytest -n auto --dist loadfile

format: .venv/.ready ## rewrite the code in the project's format
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .

clean: ## remove what the commands above made
	rm -rf .venv .tools demo-output
