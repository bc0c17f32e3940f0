"""What torch is asked for before a call on a device."""

from __future__ import annotations

import pytest

from convbench.backends.torch_conv import _BenchmarkPlan, _ConvPlan, _Tf32Plan
from convbench.problem import Problem

torch = pytest.importorskip("torch")


@pytest.fixture
def cudnn():
    flags = torch.backends.cudnn
    names = ("benchmark", "deterministic", "allow_tf32")
    before = {name: getattr(flags, name) for name in names}
    yield lambda: tuple(getattr(flags, name) for name in names)
    for name, value in before.items():
        setattr(flags, name, value)


def on_device(kind: type[_ConvPlan]) -> _ConvPlan:
    plan = object.__new__(kind)
    plan.torch, plan.on_cuda, plan.terms, plan.problem = torch, True, [[lambda data: data]], Problem((2, 2), (1, 1))
    return plan


def test_variants_differ_in_what_torch_keeps_its_choice_of_algorithm_by(cudnn) -> None:
    """By determinism and TF32 (Conv_v8.cpp), not by whether algorithms are tried: else one would run what another
    chose."""
    asked = {}
    for kind in (_ConvPlan, _BenchmarkPlan, _Tf32Plan, _BenchmarkPlan, _ConvPlan):
        on_device(kind).execute(torch.zeros(1))
        assert asked.setdefault(kind, cudnn()) == cudnn()
    assert asked == {
        _ConvPlan: (False, False, False),
        _BenchmarkPlan: (True, True, False),
        _Tf32Plan: (False, False, True),
    }
    keys = [flags[1:] for flags in asked.values()]
    assert len(set(keys)) == len(keys)
