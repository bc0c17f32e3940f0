#!/usr/bin/env bash
# Installs convbench and what it measures into .venv, as every make target does on first use.
# EXTRAS: which libraries and tools (frameworks,test by default). PIP_FLAGS: handed to pip.
set -euo pipefail
cd "$(dirname "$0")/../.."
make EXTRAS="${EXTRAS:-frameworks,test}" PIP_FLAGS="${PIP_FLAGS:-}" .venv/.installed
