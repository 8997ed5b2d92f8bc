"""The files of a mixed table: the table, its network, and the reason for every layer in fp32."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from quantkit.calibration.calibrate import Calibration
from quantkit.calibration.provenance import Provenance, provenance, write_table
from quantkit.calibration.table import CalibrationTable
from quantkit.model.network import Network
from quantkit.project.prepared import write_prepared
from quantkit.sensitivity.search import Chain
from quantkit.sensitivity.search_costs import LayerCost
from quantkit.sensitivity.search_mix import Mix
from quantkit.storage import sha256_bytes
from quantkit.tuning.recipe import Step
from quantkit.tuning.thresholds_setting import thresholds_of

METHOD = "mixed"
_MASKED = "Winograd is switched off (31=64), faster here; ncnn2int8 drops that, so set it after"


def reasons(mix: Mix, chain: Chain, costs: Mapping[str, LayerCost], cpu: str) -> dict[str, str]:
    """Say of each layer that the base table has in int8 and the mix has not, why.

    Args:
        mix: The mix.
        chain: What it was made from.
        costs: Predicted times by layer of the base table.
        cpu: The processor that they were measured on.
    """
    kept, order = set(mix.int8), set(chain.order)
    found: dict[str, str] = {}
    for name, cost in costs.items():
        if name in kept:
            continue
        times = f"{cost.ms_int8:.4f} ms in int8, {cost.ms_fp32:.4f} in fp32"
        if not cost.pays:
            found[name] = f"int8 does not pay: {times}, measured on {cpu}"
        elif name in order:
            noise = chain.errors[name]
            found[name] = (
                f"given up to hold the bounds: alone in int8 it makes {noise:.2%} of noise in the "
                f"outputs, and would save {cost.saved:.4f} ms"
            )
        else:
            found[name] = "got no scales when the layers that pay were calibrated anew"
    return found


def write_mixed(
    path: Path,
    mix: Mix,
    chain: Chain,
    exported: Network,
    base: Provenance,
    left_out: Mapping[str, str],
    step: Step,
    *,
    overwrite: bool,
) -> None:
    """Write the table, the network that it belongs to and the `.json`.

    Args:
        path: Where the table goes.
        mix: What it holds.
        chain: What it was made from.
        exported: The fp32 network as it was exported.
        base: Provenance of the table that the search began with.
        left_out: Reason by layer of that table that stays in fp32.
        step: What was done, for the `.json`.
        overwrite: Replace files that have other content.

    Raises:
        InputError: Other files are there, or writing failed.
    """
    table = mix.scales
    notes = {name: note for name, note in base.notes.items() if name in set(mix.int8)}
    for name in sorted(mix.masks):
        notes[name] = "; ".join(filter(None, (notes.get(name), _MASKED)))
    calibration = Calibration(table, thresholds_of(table), {**base.left_out, **left_out}, notes)
    origin = _origin(calibration, mix, chain, exported, base, step)
    write_prepared(path, exported, mix.prepared, overwrite=overwrite)
    write_table(path, calibration, origin, overwrite=overwrite)


def _origin(
    calibration: Calibration,
    mix: Mix,
    chain: Chain,
    exported: Network,
    base: Provenance,
    step: Step,
) -> Provenance:
    scales = calibration.table.activation_scales
    layers = {
        name: replace(one, threshold=calibration.thresholds.get(name), scale=scales.get(name))
        for name, one in base.layers.items()
    }
    statistics = chain.start.statistics
    steps = [*base.steps, step.to_json()] if statistics is None else [step.to_json()]
    found = provenance(
        calibration,
        exported,
        statistics or {},
        method=METHOD,
        calibration_set=base.calibration_set,
        calibration_set_sha256=base.calibration_set_sha256,
        recipe=base.recipe,
        steps=steps,
        prepared=mix.prepared,
        keep_hazards=base.keep_hazards,
        preprocess=base.preprocess,
    )
    return replace(
        found,
        layers={**layers, **found.layers},
        kept_fp32=base.kept_fp32,
        unknown=base.unknown,
        parent=base.parent,
        edits=base.edits,
    )


def table_sha256(table: CalibrationTable) -> str:
    """Hash a table as it is written."""
    return sha256_bytes(table.text().encode())
