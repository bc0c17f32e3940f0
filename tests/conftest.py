"""Helper modules beside the tests can be imported by name; JAX and TensorFlow start with one thread."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

# Whichever test uses them first: their backends refuse to run on more, and the number is fixed for the process then.
os.environ |= {"NPROC": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
