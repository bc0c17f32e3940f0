"""emulate returns, or refuses, what the real systems did: every measured case, none left out."""

from __future__ import annotations

import builtins
import functools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import convbench
from convbench import atlas
from convbench.errors import EmulatedError

DATA = Path(__file__).parent.parent / "data"
RECORDS, CASES, VALUES, REFUSALS = 839, 9423, 8070, 1353


@functools.cache
def records():
    return json.loads((DATA / "golden.json").read_text())


@functools.cache
def arrays():
    with np.load(DATA / "golden.npz") as kept:
        return {name: kept[name] for name in kept}


def of(system):
    return [record for record in records() if record[0] == system]


def reproduced(record) -> Counter:
    """The number of values and refusals of a record; fails at the first that differs."""
    system, version, op, mode, given, returned, cases = record
    found: Counter = Counter()
    for case in cases:
        image_name, kernel_name, outcome = case.split(maxsplit=2)
        image, kernel = (arrays()[f"in_{name}"].astype(given) for name in (image_name, kernel_name))
        where = f"{system} {version} {op} {mode} {given} {image_name} {kernel_name}"
        if outcome.startswith("!"):
            with pytest.raises(EmulatedError) as caught:
                convbench.emulate(system, op, image, kernel, mode=mode, version=version)
            check_refusal(caught.value, outcome[1:], where)
            found["refusals"] += 1
        else:
            out = convbench.emulate(system, op, image, kernel, mode=mode, version=version)
            want = arrays()[outcome]
            assert (out.shape, out.dtype.name) == (want.shape, returned), where
            np.testing.assert_array_equal(out, want, where)
            found["values"] += 1
    return found


def check_refusal(error: EmulatedError, kind: str, where: str) -> None:
    assert error.kind == type(error).__name__ == kind, where
    real = getattr(builtins, kind, None)
    if isinstance(real, type):
        assert isinstance(error, real), where
    if kind == "UNDEFINED OUTPUT":
        assert "defect" in str(error), where


@pytest.mark.parametrize("system", dict.fromkeys(record[0] for record in records()))
def test_system(system):
    for record in of(system):
        reproduced(record)


def test_no_case_is_left_out(capsys):
    total = sum((reproduced(record) for record in records()), Counter())
    with capsys.disabled():
        print(
            f"\n{total.total()} cases of {len(records())} records: "
            f"{total['values']} values, {total['refusals']} refusals"
        )
    assert (len(records()), total.total()) == (RECORDS, CASES)
    assert (total["values"], total["refusals"]) == (VALUES, REFUSALS)


def test_every_output_is_finite():
    """The outcome null would stand for an output that is not finite: there is none, so none is left out."""
    outcomes = {case.split(maxsplit=2)[2] for record in records() for case in record[6]}
    assert all(outcome.startswith("!") or np.isfinite(arrays()[outcome]).all() for outcome in outcomes)


def test_every_row_was_measured():
    """The table has no operation or mode beyond the measured ones, and none is missing."""
    measured = {tuple(record[:4]) for record in records()}
    rows = {(row.system, row.version, row.op, row.mode) for row in atlas.entries(refused=True)}
    spelled_otherwise = {
        (system, version, op, mode)
        for system, version, op, mode in measured - rows
        if atlas.find(system, op, mode, version).mode != mode
    }
    assert measured - rows == spelled_otherwise
    assert rows <= measured
