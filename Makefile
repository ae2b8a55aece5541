# Everything a newcomer needs: `make demo` and `make test`. Both set up what they use in .venv.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test test-asterisk test-browser test-operations pictures test-packages dist deb docs docs-serve test-examples chaos chaos-asterisk fuzz soak lint format bench clean

demo: $(VENV)/.installed
	$(BIN)/ami-bridge demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest -m "not asterisk and not packages and not browser"

# Real calls on a real Asterisk 22 and 16, in chroots of Debian packages: needs root.
test-asterisk: $(VENV)/.installed
	$(BIN)/python -m pytest -m asterisk

# The wheel, the sdist and the Debian package, each installed where nothing was before; the
# Debian package is also started by a systemd that runs in a container. Needs root.
test-packages: $(VENV)/.packages
	$(BIN)/python -m pytest -m packages

# The dashboard in a real browser; root has Chromium installed if it is missing.
test-browser: $(VENV)/.installed
	@command -v chromium >/dev/null || [ "$$(id -u)" != 0 ] || \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }
	$(BIN)/python -m pytest -m browser

# The pictures of the dashboard in docs/images.
pictures: $(VENV)/.installed
	$(BIN)/python -m tests.browser.pictures

# Metrics and alerts, judged by Prometheus' own promtool, which is fetched if it is missing.
test-operations: $(VENV)/.installed
	@command -v promtool >/dev/null || [ "$$(id -u)" != 0 ] || apt-get update -qq
	AMI_BRIDGE_REQUIRE_PROMTOOL=1 $(BIN)/python -m pytest tests/control/test_metrics.py

# The site, into build/site. Broken links and whatever else it warns of are errors; that its
# theme has a successor is no news.
docs docs-serve: export NO_MKDOCS_2_WARNING = 1
docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict --clean

docs-serve: $(VENV)/.docs
	$(BIN)/mkdocs serve

# The receivers that the documentation shows, in each language; root has what is missing
# installed. `make test` runs them, too, as far as the languages are there.
test-examples: $(VENV)/.docs
	@for program in node:nodejs php:php-cli; do \
	  command -v "$${program%:*}" >/dev/null && continue; \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || continue; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends "$${program#*:}"; \
	done
	AMI_BRIDGE_REQUIRE_EXAMPLES=1 $(BIN)/python -m pytest tests/examples tests/documentation

dist: $(VENV)/.packages
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

# Needs root, and mmdebstrap.
deb: dist
	packaging/build-deb dist/*.whl dist

# Faults at random, judged from outside: docs/explanation/reliability.md has the table of a run.
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
	$(BIN)/mypy ami_bridge tests benchmarks examples

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

# What releases are made and judged with.
$(VENV)/.packages: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[packages]'
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
