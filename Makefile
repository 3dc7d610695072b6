# make setup  make demo  make test  make test-fast  make lint  make bench
# Each makes its own virtual environment in .venv, again when the requirements change.
# PYTHON=python3.10 picks the Python (else the newest that works), VENV=.venv-3.10 another folder;
# REQUIREMENTS=requirements-cu112.txt is for a machine with a GPU.

PYTHON ?= $(firstword $(shell for p in python3.13 python3.12 python3.11 python3.10 python3.9 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p; done) python3)
REQUIREMENTS ?= requirements.txt
VENV ?= .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed-$(basename $(REQUIREMENTS))

.PHONY: setup demo test test-fast lint bench clean

setup: $(STAMP)

$(STAMP): $(REQUIREMENTS) requirements-common.txt requirements-dev.txt requirements-engines.txt constraints.txt \
		tools/environment/wheels/mxnet/repack.py
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 9) <= v <= (3, 13) else \
	"Python %d.%d cannot run MXNet 1.9.1: install Python 3.9 to 3.13 and name it, as in make PYTHON=python3.13" % v)'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo "$(PYTHON) cannot make virtual environments: install its venv package (on Debian, python3-venv)"; exit 1; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r $(REQUIREMENTS) -r requirements-dev.txt
	touch $@

demo: setup
	$(RUN) tools/demo.py

# A process a core, each with one thread: on two cores that takes a little over half the time of one process.
test: setup
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto --dist loadfile

test-fast: setup
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto --dist loadfile -m "not slow"

lint: setup
	$(RUN) -m ruff check .

bench: setup
	$(RUN) tools/benchmark.py

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
