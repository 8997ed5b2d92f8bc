"""How long the layers of a table take in fp32 and in int8: measured here, or read from a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from quantkit.calibration.table import read_table
from quantkit.errors import InputError
from quantkit.latency.grid import measure_layers
from quantkit.latency.layer_shape import LayerShape, distinct
from quantkit.latency.machine import machine_facts
from quantkit.latency.profile import LatencyProfile, read_profile, write_profile
from quantkit.model.network import Network, read_network
from quantkit.model.shapes import blob_shapes
from quantkit.progress import Feedback
from quantkit.project.calibrating import ready_table
from quantkit.project.config import Project
from quantkit.sensitivity.search_costs import LayerCost, layer_costs
from quantkit.storage import from_here


def table_costs(
    project: Project,
    table: str | Path,
    *,
    latency: Path | None = None,
    threads: int = 2,
    feedback: Feedback,
) -> Mapping[str, LayerCost]:
    """Time each layer of a table in fp32 and in int8, about ten seconds, unless it is known.

    Args:
        project: The project.
        table: Name of the table, made if it is a method's, or a path.
        latency: Layer times that were measured elsewhere; None to measure them here.
        threads: Worker threads, where the table has to be made.
        feedback: Told how it goes.

    Returns:
        Times by layer.

    Raises:
        InputError: The table or the file cannot be used; a layer without times is named.
        BackendDied: ncnn died of a layer.
    """
    ready = ready_table(project, table, threads=threads, feedback=feedback)
    names = read_table(ready.table).layers
    network = read_network(ready.prepared)
    return costs_of(project, network, ready.fp32.input, names, latency, feedback, resumed=True)[0]


def costs_of(
    project: Project,
    network: Network,
    input: str,
    names: tuple[str, ...],
    latency: Path | None,
    feedback: Feedback,
    *,
    resumed: bool = False,
) -> tuple[Mapping[str, LayerCost], LatencyProfile]:
    """Time layers of a network that is at hand.

    Args:
        project: The project; the times are written into its work folder.
        network: The fp32 network.
        input: Its input blob.
        names: Its layers.
        latency: Layer times that were measured elsewhere.
        feedback: Told how it goes.
        resumed: Go on with the times that were measured last, if that was on this machine.

    Raises:
        InputError: The file cannot be used, or lacks a layer, which is named.
        BackendDied: ncnn died of a layer.
    """
    shapes = blob_shapes(network.param, {input: project.input.shape})
    wanted = distinct([network.param.layer(name) for name in names], shapes)
    path = project.work_dir / "latency.json"
    if latency is not None:
        profile = read_profile(latency)
    elif resumed and (kept := _kept(path, wanted)) is not None:
        feedback.note(f"layer times reused: {from_here(path)}")
        profile = kept
    else:
        feedback.note(f"{len(wanted)} distinct layer shapes are timed, about 10 s")
        profile = measure_layers(wanted, feedback=feedback)
        write_profile(profile, path)
    return layer_costs(network, names, shapes, profile), profile


def _kept(path: Path, wanted: Sequence[LayerShape]) -> LatencyProfile | None:
    try:
        profile = read_profile(path)
    except InputError:
        return None
    facts = machine_facts()
    here = all(profile.machine.get(key) == facts[key] for key in ("cpu", "cores", "versions"))
    return profile if here and not profile.missing(wanted) else None
