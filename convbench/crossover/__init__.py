"""Where one family of methods overtakes another as the kernel grows: searched by bisection, measured on the way.

lengths.py says which problem a kernel size stands for, search.py where to look next, contest.py who leads there,
find.py puts them together, found.py holds what was found, answer.py says it.
"""

from convbench.crossover.find import find_crossover
from convbench.crossover.found import Band, Crossing, Found

__all__ = ["Band", "Crossing", "Found", "find_crossover"]
