"""Who runs a network: every inference backend behind one Runner, each in a child process."""

import os

from quantkit.backends.names import BACKENDS, BackendName
from quantkit.backends.process import availability, open_runner
from quantkit.backends.runner import Latency, Runner, latency

__all__ = [
    "BACKENDS",
    "BackendName",
    "Latency",
    "Runner",
    "availability",
    "latency",
    "open_runner",
]

# Read once, when ncnn's OpenMP loads: spinning threads make a busy machine many times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
