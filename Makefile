# Everything below works from a fresh clone: the environment is made on first use.
#   make bench    gate, quick preset, report: some eight minutes after installation
#   make bench-gpu  the preset gpu on a CUDA device, with the processor beside it, and the targets: DEVICE=cuda:1, BENCH=REGEX, MINUTES=8
#   make wheels   what `make bench-gpu WHEELS=wheels` needs on a machine without network, for Python 3.12
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
DEVICE ?= cuda:0
export BENCH
# A machine without network is taken to have torch, CuPy, JAX, numba and numba-cuda, SciPy, Matplotlib, pandas and pyarrow. Of these it
# may have some. ALSO="pandas pyarrow" carries more.
WHEELS_PYTHON ?= 3.12
CARRIED ?= asv==0.6.6 asv_runner==0.3.2 json5 build pyproject_hooks tabulate virtualenv distlib python-discovery filelock packaging \
	platformdirs importlib-metadata zipp pyyaml pympler pyfftw msgspec ml_dtypes nvidia-ml-py threadpoolctl psutil py-cpuinfo click rich \
	markdown-it-py mdurl pygments jinja2 markupsafe setuptools wheel
ifdef WHEELS
override PIP_FLAGS += --no-index --find-links $(WHEELS) --no-build-isolation
override VENV_FLAGS += --without-pip
CONSTRAINTS := /dev/null
EXTRAS :=
endif

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

ifneq ($(wildcard .theano/bin/python),)
export CONVBENCH_THEANO_PYTHON ?= $(CURDIR)/.theano/bin/python
endif

.PHONY: help bench bench-gpu wheels test lint report peers noise chooser theano clean

help:
	@sed -n '2,10s/^# *//p' Makefile

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
	@# nothing was measured where the status is above 1
	$(BIN)/convbench run --preset gpu $(addprefix --device ,$(DEVICE)) $(addprefix --minutes ,$(MINUTES)) $(if $(BENCH),--bench "$$BENCH"); \
	status=$$?; [ $$status -gt 1 ] || { $(BIN)/python tools/cuda_targets.py --device $(firstword $(DEVICE)) && $(BIN)/convbench report; } && exit $$status

wheels:
	$(PYTHON) -m pip download $(PIP_FLAGS) --quiet --no-deps --constraint $(CONSTRAINTS) --dest wheels --only-binary=:all: --python-version $(WHEELS_PYTHON) \
		--platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 $(CARRIED) $(ALSO)

report: $(STAMP)
	$(BIN)/convbench report

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("convbench needs Python 3.11 or newer, this is %d.%d: make PYTHON=python3.11 ..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV_FLAGS) $(VENV)
ifdef WHEELS
	@# the packages of $(PYTHON) itself, also where that is an environment, which --system-site-packages leaves out
	$(PYTHON) -c 'import sys; print("import site;", *(f"site.addsitedir({p!r});" for p in sys.path if p.endswith("-packages")))' > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/carried.pth"
	$(BIN)/python -m pip install $(PIP_FLAGS) --quiet 'setuptools>=77' wheel
endif
	$(BIN)/python -m pip install $(PIP_FLAGS) --quiet --constraint $(CONSTRAINTS) --editable '.$(if $(EXTRAS),[$(EXTRAS)])'
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
