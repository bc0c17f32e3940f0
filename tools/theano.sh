#!/usr/bin/env bash
# Theano 1.0.5 in an environment of its own, .theano: `make` then finds it there. Needs a C++ compiler and an older Python
# (3.7 to 3.10), which OLD_PYTHON names or which is looked for on PATH and among pyenv's.
set -euo pipefail
cd "$(dirname "$0")/.."

find_python() {
    local candidate
    for candidate in ${OLD_PYTHON:-} python3.{7,8,9,10} "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.{7,8,9,10}.*/bin/python; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 6) <= sys.version_info[:2] <= (3, 10))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "no Python 3.7 to 3.10 found: install one (docs/remote-workers.md) and name it, make theano OLD_PYTHON=..." >&2
    return 1
}

command -v c++ >/dev/null || { echo "no C++ compiler found: install one, e.g. apt install g++" >&2; exit 1; }
python=$(find_python)
"$python" -m venv .theano
# shellcheck disable=SC2086 (flags are words)
.theano/bin/python -m pip install ${PIP_FLAGS:-} --quiet --disable-pip-version-check 'theano==1.0.5' 'numpy<1.22' 'scipy<1.8'
.theano/bin/python -c 'import theano; print("Theano", theano.__version__, "is set up: make bench and make test use it")' 2>/dev/null
