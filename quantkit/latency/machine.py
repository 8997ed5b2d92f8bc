"""Which machine a time was measured on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

_CPU_INFO = Path("/proc/cpuinfo")


def machine_facts() -> dict[str, Any]:
    """Describe this machine: processor, system, versions, and how busy it is."""
    return {
        "cpu": _cpu_model() or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "versions": {name: version(name) for name in ("quantkit", "ncnn")},
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _cpu_model() -> str | None:
    try:
        lines = _CPU_INFO.read_text().splitlines()
    except OSError:
        return None
    found = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(found, None)
