#!/usr/bin/env bash
# Compares two commits, interleaved, and keeps the table in build/ci/compare.txt.
# BASE, HEAD: the commits (main and HEAD). CELLS: a regular expression for the cells. ROUNDS: how often each is measured.
# Exit status: 0 no cell is slower, 1 some are, or are wrong or no longer run; more if they could not be compared at all.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p build/ci
status=0
.venv/bin/convbench track "${BASE:-main}" "${HEAD:-HEAD}" \
  --bench "${CELLS:-image.*numba.*, 512, (7|31), .float32}" --rounds "${ROUNDS:-5}" --strict |
  tee build/ci/compare.txt || status=$?
if [ "$status" -eq 3 ]; then
  # Not a fault of the change: a runner that is shared is often too noisy for small differences.
  echo "The noise of this machine hides whether anything changed; more rounds may tell: ROUNDS=20 tools/ci/compare.sh" |
    tee -a build/ci/compare.txt
  status=0
fi
exit "$status"
