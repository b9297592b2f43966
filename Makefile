PYTHON ?= python3
SUITE ?= quick
DEVICE ?= auto
CUDA ?= cuda12
MINUTES ?= 30
VENV := .venv
RUN := $(VENV)/bin/python
EXTRAS := bench,test,dev,examples
STAMP := $(VENV)/.installed
SIDE_BY_SIDE := -n auto --maxprocesses 4 --dist worksteal
ifeq ($(DEVICE),gpu)
EXTRAS := $(EXTRAS),$(CUDA)
STAMP := $(VENV)/.installed-$(CUDA)
endif

.PHONY: install bench textbook compare gate peers test conformance faults soak lint clean
.DELETE_ON_ERROR:

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: PYTHON: must be Python 3.11 or newer (got $$($(PYTHON) --version 2>&1)). Try make PYTHON=python3.12." >&2; exit 2; }
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV) || \
	  { echo "error: venv: could not make $(VENV) (got the error above). Install Python's venv package." >&2; exit 2; }
	$(RUN) -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

bench: install
	$(RUN) -m bench run $(SUITE) --device $(DEVICE) $(if $(OUT),--out '$(OUT)')

textbook: install
	$(RUN) -m bench run textbook --device $(DEVICE) $(if $(OUT),--out '$(OUT)')

compare: install
	@test -n '$(A)' -a -n '$(B)' || { echo "error: A, B: two run folders are needed (got A='$(A)' B='$(B)'). Try make compare A=results/cpu B=results/gpu." >&2; exit 2; }
	$(RUN) -m bench compare '$(A)' '$(B)' $(if $(OUT),--out '$(OUT)') $(if $(FAIL_ABOVE),--fail-above $(FAIL_ABOVE))

gate: install
	$(RUN) -m bench gate $(if $(OUT),--out '$(OUT)')

peers:
	@$(MAKE) install EXTRAS=$(EXTRAS),peers STAMP=$(VENV)/.installed-peers
	$(RUN) -m bench peers --device $(DEVICE) $(if $(OUT),--out '$(OUT)') $(foreach name,$(ONLY),--only $(name))

test: install
	JAX_PLATFORMS=cpu $(RUN) -m pytest $(SIDE_BY_SIDE) --doctest-modules gdjax bench tests --ignore-glob='bench/test_*.py'

conformance: install
	CONFORMANCE=whole JAX_PLATFORMS=cpu $(RUN) -m pytest $(SIDE_BY_SIDE) tests/test_conformance.py

faults: install
	FAULTS=long JAX_PLATFORMS=cpu $(RUN) -m pytest tests/faults

soak: install
	JAX_PLATFORMS=cpu $(RUN) -m tests.faults.soak --suite $(SUITE) --minutes $(MINUTES)

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(RUN) tools/dependencies.py

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .benchmarks .hypothesis
	find gdjax bench tests -name __pycache__ -type d -prune -exec rm -rf {} +
