# Everything a newcomer needs: `make demo` and `make test`. Both set up what they use in .venv.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test test-asterisk chaos chaos-asterisk fuzz soak lint format bench clean

demo: $(VENV)/.installed
	$(BIN)/ami-bridge demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest -m "not asterisk"

# Real calls on a real Asterisk 22 and 16, in chroots of Debian packages: needs root.
test-asterisk: $(VENV)/.installed
	$(BIN)/python -m pytest -m asterisk

# Faults at random, judged from outside: docs/reliability.md has the table of a run.
chaos: $(VENV)/.installed
	$(BIN)/python -m tests.chaos --faults 200 --minutes 15

# The same with a real Asterisk 22 and SIP phones, judged by Asterisk's own CEL: needs root.
chaos-asterisk: $(VENV)/.installed
	$(BIN)/python -m tests.chaos.real

# Coverage-guided: what it finds becomes a test.
fuzz: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	$(BIN)/python -m tests.fuzz --seconds 120

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy ami_bridge tests benchmarks

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed
	for script in correlate memory end_to_end deliver latency dead_host; do \
	  echo "== $$script"; $(BIN)/python benchmarks/$$script.py || exit 1; done

# An hour of traffic, with the memory printed.
soak: $(VENV)/.installed
	$(BIN)/python benchmarks/soak.py

# Debian keeps ensurepip in a package of its own; only root can add it.
$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ami-bridge needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; \
	  else echo "Python's venv module is missing: as root, apt-get install python3-venv"; exit 1; fi; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
