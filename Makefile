# Everything from a bare Python 3.11+: `make demo` runs the main job, `make test` the checks.
PYTHON ?= python3
UV := .tools/bin/uv
RUN := $(UV) run --frozen --no-sync
# PyTorch's own index has wheels without CUDA for Linux x86-64, a fraction in size: taken where it
# can be reached and no NVIDIA card is there. `make CPU_INDEX= ...` takes the locked ones.
CPU_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: help demo test model format clean
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

# Where it learns from, as the cards of the weights say: photographs, more of them, drawings of
# signs, pictures that are no streets. Hours on a CPU; what a stopped one has done is not done again.
data more package sets:
	@echo "no folder $@ here: see src/workzone/weights/lite/MODEL_CARD.md" >&2; exit 1

model: .venv/.ready | data more package sets ## make, judge and export the model that is shipped
	$(RUN) python benchmarks/trunk.py data more --signs package -o runs/trunk_first.json --ship runs/lite0-road-first
	$(RUN) python benchmarks/trunk.py data more --signs package -o benchmarks/results/trunk.json --start runs/lite0-road-first --seed 1 --ship src/workzone/weights/lite0-road
	$(RUN) python benchmarks/accuracy.py data more --signs package --precision bfloat16 -o benchmarks/results/accuracy.json --ship src/workzone/weights/lite
	$(RUN) python benchmarks/left_out.py data -o runs/left_out.parquet
	$(RUN) workzone export src/workzone/weights/lite -o src/workzone/weights/lite-onnx --images runs/left_out.parquet --count 440
	$(RUN) python benchmarks/unsure.py data more --sets sets -o benchmarks/results/unsure.json --ship src/workzone/weights/lite src/workzone/weights/lite-onnx

format: .venv/.ready ## rewrite the code in the project's format
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .

clean: ## remove what the commands above made
	rm -rf .venv .tools demo-output
