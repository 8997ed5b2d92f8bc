"""Of the mixes that were tried: which is the fastest that holds the bounds."""

import math
from collections.abc import Sequence
from dataclasses import replace

from quantkit.errors import GateFailed
from quantkit.sensitivity.search_report import Tried


def choose(tried: Sequence[Tried], *, claim: float) -> tuple[Tried, str]:
    """Choose a mix.

    Of those that cannot be told from the fastest, the one whose outputs are closest to fp32.

    Args:
        tried: The mixes, those without times or outputs included.
        claim: The least difference of times, as a share, that is more than noise.

    Returns:
        The mix and the reason.

    Raises:
        GateFailed: None holds the bounds, or none is faster than fp32.

    Example:
        >>> from quantkit.sensitivity.figures import Effect
        >>> fast = Tried("a", 9, 0.2, 1.0, effect=Effect(26.0), ratio=0.70)
        >>> close = Tried("b", 8, 0.3, 1.1, effect=Effect(30.0), ratio=0.71)
        >>> choose([fast, close], claim=0.03)[0].name
        'b'
    """
    allowed = [one for one in tried if one.int8_layers and one.effect and not one.broken]
    timed = [one for one in allowed if one.ratio is not None]
    if not timed:
        message = "no mix with a layer in int8 holds the bounds: loosen them, or keep fp32"
        raise GateFailed(message)
    fastest = min(timed, key=_ratio)
    fp32 = min((_ratio(one) for one in tried if one.exact), default=1.0)
    if _ratio(fastest) > fp32 * (1 - claim):
        message = (
            f"the fastest mix that holds the bounds takes {_ratio(fastest) / fp32:.2f} of fp32's"
            f" time, which is not less by more than {claim:.0%}: keep fp32"
        )
        raise GateFailed(message)
    alike = [one for one in timed if _ratio(one) <= _ratio(fastest) * (1 + claim)]
    chosen = min(alike, key=_closeness)
    others = len(alike) - 1
    why = f"the fastest of {len(timed)} that hold the bounds"
    if others:
        why += f"; {others} of them cannot be told from it in time, and this is the closest to fp32"
    return chosen, why


def with_pareto(tried: Sequence[Tried]) -> tuple[Tried, ...]:
    """Mark the mixes that no other one beats in both time and SQNR."""
    placed = [(one, _ratio(one), _sqnr(one)) for one in tried if one.effect and one.ratio]
    front = {
        id(one)
        for one, ratio, sqnr in placed
        if not any(r <= ratio and s >= sqnr and (r, s) != (ratio, sqnr) for _, r, s in placed)
    }
    return tuple(replace(one, pareto=id(one) in front) for one in tried)


def _closeness(one: Tried) -> tuple[int, int, float]:
    # A mask is worth nothing where it saves no time, nor is a fraction of a decibel; predicted
    # times tell apart what whole networks do not.
    return -math.floor(min(_sqnr(one), 999)), one.masks, one.predicted_ms


def _ratio(one: Tried) -> float:
    return float("inf") if one.ratio is None else one.ratio


def _sqnr(one: Tried) -> float:
    return one.effect.sqnr_db if one.effect and one.effect.sqnr_db is not None else float("inf")
