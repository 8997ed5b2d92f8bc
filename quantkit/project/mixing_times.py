"""The mixes of a search as whole networks, timed in turn on this machine or as predicted."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from quantkit.latency.networks import NetworkTimes, TimedNetwork, measure_networks
from quantkit.latency.samples import LEAST_CLAIM
from quantkit.model.channel_shuffle import with_joined_shuffles
from quantkit.model.network import Network, write_network
from quantkit.model.source import NcnnFiles
from quantkit.progress import Feedback
from quantkit.project.config import Project
from quantkit.sensitivity.figures import Effect
from quantkit.sensitivity.search import ALL, Found
from quantkit.sensitivity.search_costs import LayerCost
from quantkit.sensitivity.search_mix import MASKED, Mix
from quantkit.sensitivity.search_plan import NETWORKS_SECONDS
from quantkit.sensitivity.search_report import Bounds, Tried

FP32: Final = "fp32"
JOINED: Final = ", shuffles joined"
BF16: Final = " with bf16 storage"
_LARGE = 64_000_000
"""Bytes of a network of which only the mixes that may be chosen are loaded side by side."""
_MOST = 10


@dataclass(frozen=True, eq=False)
class Timed:
    """All that was tried, with times.

    Attributes:
        tried: Each with its mix; None for fp32 with bf16 storage. Fp32 as it was exported is the
            first.
        noise: How much fp32, measured twice, differed.
        claim: The least difference, as a share, that is more than noise.
    """

    tried: tuple[tuple[Mix | None, Tried], ...]
    noise: float
    claim: float


def timed(
    project: Project,
    exported: Network,
    files: NcnnFiles,
    found: Found,
    costs: Mapping[str, LayerCost],
    bounds: Bounds,
    *,
    here: bool,
    feedback: Feedback,
) -> Timed:
    """Time fp32, fp32 with bf16 storage and the mixes, those with feature masks included.

    Args:
        project: The project.
        exported: The fp32 network.
        files: Its files.
        found: The mixes.
        costs: Predicted times by layer.
        bounds: What has to be held.
        here: Whether the layer times are this machine's; on another one whole networks cannot be
            timed, and the mixes are compared as predicted.
        feedback: Told how it goes.

    Raises:
        InputError: A network cannot be written or run.
        BackendDied: ncnn died of one.
    """
    mixes = _with_fp32(exported, files.outputs, found, costs)
    tried = [
        (
            mix,
            Tried(
                name=mix.name,
                int8_layers=len(mix.int8),
                fp32_macs=round(mix.fp32_macs(costs), 6),
                predicted_ms=round(mix.predicted_ms(costs), 6),
                masks=len(mix.masks),
                effect=effect,
                broken=None if effect is None else bounds.broken_by(effect),
            ),
        )
        for mix, effect in mixes
    ]
    if not here:
        whole = tried[0][1].predicted_ms
        predicted = [
            (mix, replace(one, ratio=round(one.predicted_ms / whole, 4))) for mix, one in tried
        ]
        return Timed(tuple(predicted), 0.0, LEAST_CLAIM)
    times = _measured(project, exported, files, tried, found, feedback)
    rival = _rival(tried)
    fp32 = [(mix, one) for mix, one in tried if not mix.int8]
    broken = bounds.broken_by(found.bf16)
    bf16 = replace(rival[1], name=rival[1].name + BF16, effect=found.bf16, broken=broken)
    rows: list[tuple[Mix | None, Tried]] = [*fp32, (None, bf16), *tried[len(fp32) :]]
    measured = tuple((mix, _with_times(one, times)) for mix, one in rows)
    return Timed(measured, times.noise, round(times.claim, 4))


def _with_fp32(
    exported: Network, outputs: Sequence[str], found: Found, costs: Mapping[str, LayerCost]
) -> list[tuple[Mix, Effect | None]]:
    """Put fp32 before the mixes, and fp32 with all that makes it faster without int8."""
    fp32 = Mix(FP32, exported, None)
    joined = with_joined_shuffles(exported, outputs)
    fewer = len(joined.param.layers) < len(exported.param.layers)
    better = Mix(FP32 + JOINED, joined, None) if fewer else fp32
    masked = better.with_masks(costs)
    better = masked if masked.masks else better
    plain: list[tuple[Mix, Effect | None]] = [(fp32, None)]
    return [*plain, *([] if better is fp32 else [(better, None)]), *found.tried]


def _rival(tried: Sequence[tuple[Mix, Tried]]) -> tuple[Mix, Tried]:
    """Take the form of fp32 that is thought to be the fastest."""
    return [pair for pair in tried if not pair[0].int8][-1]


def _measured(
    project: Project,
    exported: Network,
    files: NcnnFiles,
    tried: Sequence[tuple[Mix, Tried]],
    found: Found,
    feedback: Feedback,
) -> NetworkTimes:
    held = {mix.name for mix, one in tried if one.broken is None}
    few = exported.nbytes > _LARGE or len(held) > _MOST
    rival = _rival(tried)[0]
    named = {FP32, rival.name, ALL, *_candidates(found)}
    named |= {chain.start.name for chain in found.chains[:1]} | (set() if few else held)
    chosen = [mix for mix, _ in tried if {mix.name, mix.name.removesuffix(MASKED)} & named]
    mixes = [mix for mix, _ in tried]
    with tempfile.TemporaryDirectory(prefix="search-", dir=project.work_dir) as folder:
        networks = {FP32: TimedNetwork(files)}
        for number, mix in enumerate(mixes):
            if mix in chosen and mix.name != FP32:
                networks[mix.name] = TimedNetwork(_written(mix, files, Path(folder), number))
        networks[rival.name + BF16] = replace(networks[rival.name], bf16=True)
        feedback.note(f"search: {len(networks) + 1} networks are timed in turn")
        return measure_networks(
            networks,
            project.input.shape,
            baseline=FP32,
            seconds=NETWORKS_SECONDS,
            feedback=feedback,
        )


def _candidates(found: Found) -> Iterator[str]:
    for chain in found.chains:
        yield chain.mix(chain.given_up).name
        yield chain.mix(chain.nearly).name


def _written(mix: Mix, files: NcnnFiles, folder: Path, number: int) -> NcnnFiles:
    param, weights = folder / f"{number}.param", folder / f"{number}.bin"
    write_network(mix.quantized(), param, weights)
    return replace(files, param=param, bin=weights)


def _with_times(one: Tried, times: NetworkTimes) -> Tried:
    if one.name not in times.times:
        return one
    found = times.times[one.name]
    return replace(
        one,
        median_ms=found.median,
        p10_ms=found.p10,
        ratio=round(times.ratio(one.name), 4),
        p10_ratio=round(times.p10_ratio(one.name), 4),
    )
