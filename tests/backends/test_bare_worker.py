"""A worker on a board: a folder with quantkit, numpy and the backend's package, nothing else."""

import importlib.util
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import quantkit
from quantkit.backends import worker_process
from quantkit.backends.process import ProcessRunner
from tests.nets import crop, small_network, write_pair


def _install(package: str, folder: Path) -> None:
    """Link what a wheel brings: the package, its libraries and its metadata."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    site = Path(spec.origin).parents[1]
    for name in (package, f"{package}.libs", f"{package}-{version(package)}.dist-info"):
        if (site / name).exists():
            (folder / name).symlink_to(site / name)


@pytest.mark.slow
def test_a_worker_needs_numpy_and_ncnn_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("numpy", "ncnn"):
        _install(package, tmp_path)
    (tmp_path / "quantkit").symlink_to(Path(quantkit.__file__).parent)
    rng = np.random.default_rng(0)
    files = write_pair(small_network(rng), tmp_path)
    tensor = crop(rng)
    with ProcessRunner("ncnn", files) as usual:
        expected = usual.run(tensor)
    monkeypatch.setattr(worker_process, "python_environment", lambda: {"PYTHONPATH": str(tmp_path)})
    # -S keeps this Python's own packages out of sight.
    command = (sys.executable, "-S", "-P", "-m", "quantkit.backends.worker")
    with ProcessRunner("ncnn", files, command=command) as bare:
        got = bare.run(tensor)
    np.testing.assert_array_equal(got[0], expected[0])
