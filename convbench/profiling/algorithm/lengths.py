"""Lengths of transforms: what they are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from convbench.profiling.algorithm.fact import Fact

_QUICK = 7
"""The largest prime factor that every FFT library has code of its own for."""


def prime_factors(length: int) -> list[int]:
    """In ascending order, repeated as often as they divide it; [] of 1."""
    found: list[int] = []
    prime = 2
    while prime * prime <= length:
        while length % prime == 0:
            found.append(prime)
            length //= prime
        prime += 1
    return [*found, length] if length > 1 else found


def size_class(length: int) -> str:
    """'power of two'; 'radix 3-5-7', made of primes up to 7; 'awkward' with its largest prime factor."""
    largest = max(prime_factors(length), default=1)
    if largest <= 2:
        return "power of two"
    return "radix 3-5-7" if largest <= _QUICK else f"awkward (prime factor {largest})"


def factored(length: int) -> str:
    """In words and powers of primes: '1080 = 2^3 3^3 5'."""
    primes = prime_factors(length)
    powers = (f"{prime}^{primes.count(prime)}".removesuffix("^1") for prime in dict.fromkeys(primes))
    return f"{length} = {' '.join(powers)}" if len(primes) > 1 else str(length)


def by(lengths: Iterable[int], between: str = " x ") -> str:
    """'1080 x 576'."""
    return between.join(map(str, lengths))


def lengths_fact(what: str, sizes: Sequence[int], least: Sequence[int], source: str, more: str = "") -> Fact:
    """A transform along some axes of these lengths, where *least* would have been enough; more: said after the class.

    A tile is shorter than what it is cut from: no word of padding then.
    """
    classes = dict.fromkeys(map(size_class, sizes))
    value = f"{by(sizes)}, {', '.join(classes)}{f'; {more}' if more else ''}"
    return Fact(what, value, source, tuple(map(_axis, sizes, least)))


def _axis(size: int, least: int) -> str:
    said = "not padded" if size == least else f"padded from {least}" if size > least else f"cut from {least}"
    return f"{factored(size)}: {size_class(size)}, {said}"
