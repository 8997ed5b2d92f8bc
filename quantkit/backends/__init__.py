"""Who runs a network: every inference backend behind one Runner."""

import os

# Read once, when ncnn's OpenMP loads: spinning threads make a busy machine many times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
