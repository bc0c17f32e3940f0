# Everything below works from a fresh clone: the environment is made on first use.
#   make bench    gate, quick preset, report: some eight minutes after installation
#   make bench-gpu  the same on a CUDA device, with the processor beside it
#   make test     lint, types and tests
#   make theano   Theano 1.0.5 beside it, in an environment of an older Python
#   make peers    the backends against their peers, target by target: half an hour on a quiet machine
#   make noise    are equals called equal, and planted slowdowns found, here and now? seven minutes on a quiet machine
#   make chooser  what `recommend` and SciPy's own choice cost on sizes that were not measured before
# PYTHON=python3.12 chooses the interpreter (3.11 or newer), PIP_FLAGS="..." is handed to pip. EXTRAS=test leaves out the
# frameworks (5 GB), which are then n/a.

PYTHON ?= python3
PRESET ?= quick
EXTRAS ?= frameworks,cuda,profile,test
CONSTRAINTS ?= constraints.txt
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

ifneq ($(wildcard .theano/bin/python),)
export CONVBENCH_THEANO_PYTHON ?= $(CURDIR)/.theano/bin/python
endif

.PHONY: help bench bench-gpu test lint report peers noise chooser theano clean

help:
	@sed -n '2,9s/^# *//p' Makefile

bench: $(STAMP)
	@# a failed cell must not cost the report of all others
	$(BIN)/convbench run --preset $(PRESET); status=$$?; $(BIN)/convbench report && exit $$status

test: $(STAMP) lint
	@# a file is one process's, and no more processes than memory for the frameworks in each
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench-gpu: $(STAMP)
	$(BIN)/python -c 'from convbench.cuda.facts import devices; import sys; devices() or sys.exit("no CUDA device: no NVIDIA driver answers here; `make bench` measures the processor")'
	$(BIN)/convbench run --preset gpu; status=$$?; $(BIN)/convbench report && exit $$status

report: $(STAMP)
	$(BIN)/convbench report

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("convbench needs Python 3.11 or newer, this is %d.%d: make PYTHON=python3.11 ..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV_FLAGS) $(VENV)
	$(BIN)/python -m pip install $(PIP_FLAGS) --quiet --constraint $(CONSTRAINTS) --editable '.[$(EXTRAS)]'
	@touch $@

peers: $(STAMP)
	$(BIN)/python tools/peers.py --out reports

noise: $(STAMP)
	$(BIN)/python tools/noise.py --out reports

chooser: $(STAMP)
	$(BIN)/python tools/chooser.py --out reports

theano:
	OLD_PYTHON=$(OLD_PYTHON) PIP_FLAGS="$(PIP_FLAGS)" tools/theano.sh

clean:
	rm -rf $(VENV) .theano .asv build convbench.egg-info
