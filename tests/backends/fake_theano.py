"""As much of Theano as _remote_theano.py uses, in NumPy: symbols are functions of the inputs' values."""

from __future__ import annotations

import os
from types import SimpleNamespace

import numpy as np

__version__ = "1.0.5"
config = SimpleNamespace(cxx=os.environ.get("FAKE_THEANO_CXX", "g++"))


class Symbol:
    def __init__(self, value):
        self.value = value

    def __getitem__(self, key):
        return Symbol(lambda given: self.value(given)[_values(key, given)])

    @property
    def shape(self):
        return Symbol(lambda given: self.value(given).shape)


def _values(key, given):
    if isinstance(key, tuple):
        return tuple(_values(part, given) for part in key)
    if isinstance(key, slice):
        return slice(_values(key.start, given), _values(key.stop, given))
    return key.value(given) if isinstance(key, Symbol) else key


def _tensor4(name, dtype):
    def value(given):
        assert given[name].dtype == dtype
        assert given[name].ndim == 4
        return given[name]

    symbol = Symbol(value)
    symbol.name = name
    return symbol


def _conv2d(image, kernel, border_mode, filter_flip):
    assert filter_flip

    def value(given):
        (rows,), (taps,) = image.value(given)[0], kernel.value(given)[0]
        full = np.zeros([n + k - 1 for n, k in zip(rows.shape, taps.shape, strict=True)], rows.dtype)
        for at in np.ndindex(*taps.shape):
            full[tuple(slice(i, i + n) for i, n in zip(at, rows.shape, strict=True))] += rows * taps[at]
        around = {"full": lambda k: k - 1, "half": lambda k: k // 2, "valid": lambda k: 0}[border_mode]
        cut = [k - 1 - around(k) for k in taps.shape]
        return full[tuple(slice(c, n - c) for c, n in zip(cut, full.shape, strict=True))][None, None]

    return Symbol(value)


tensor = SimpleNamespace(tensor4=_tensor4, nnet=SimpleNamespace(conv2d=_conv2d))


def function(inputs, output):
    def call(*values):
        return output.value({symbol.name: value for symbol, value in zip(inputs, values, strict=True)})

    op = type(os.environ.get("FAKE_THEANO_OP", "CorrMM"), (), {})()
    call.maker = SimpleNamespace(fgraph=SimpleNamespace(toposort=lambda: [SimpleNamespace(op=op)]))
    return call
