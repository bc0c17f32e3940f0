#!/usr/bin/env bash
# Gates and times a part of the quick preset, and builds the report of it: some two minutes on two cores.
# CELLS: a regular expression for the cells, as `convbench run --bench` takes it.
set -euo pipefail
cd "$(dirname "$0")/../.."
status=0
.venv/bin/convbench run --preset quick --bench "${CELLS:-image.*, (256|512), (3|7|15|31), }" || status=$?
.venv/bin/convbench report # a failed cell must not cost the report of all others
exit "$status"
