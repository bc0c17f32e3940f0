#!/usr/bin/env bash
# Shows the comparison on the page of the workflow's run; on the terminal where there is no such page.
set -euo pipefail
cd "$(dirname "$0")/../.."
table=build/ci/compare.txt
{
  echo "### Compared with the base"
  echo
  echo '```text'
  if [ -s "$table" ]; then cat "$table"; else echo "nothing was compared: an earlier step failed"; fi
  echo '```'
} >>"${GITHUB_STEP_SUMMARY:-/dev/stdout}"
