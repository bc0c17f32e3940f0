"""The table: every operation that was measured, in the order in which it is listed."""

from __future__ import annotations

from convbench.atlas.entry import Entry
from convbench.atlas.table_arrays import ARRAYS
from convbench.atlas.table_networks import NETWORKS
from convbench.atlas.table_scipy import SCIPY

TABLE: tuple[Entry, ...] = (*SCIPY, *ARRAYS, *NETWORKS)
