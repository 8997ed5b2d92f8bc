"""Curves whose figures are invented."""

from collections.abc import Callable, Mapping, Sequence

from quantkit.stability.disjoint import Disagreement, DisjointSets
from quantkit.stability.points import Point
from quantkit.stability.recommendation import recommend
from quantkit.stability.report import CurveReport

SIZES = (8, 16, 32, 64)
SEEDS = (0, 1, 2, 3, 4)
POOL = 10_000


def points(
    sqnr: Callable[[int, int], float | None],
    scale: Callable[[int, int], float] = lambda size, seed: 10.0,
    drop: Callable[[int, int], float] = lambda size, seed: 0.01,
    sizes: Sequence[int] = SIZES,
    seeds: Sequence[int] = SEEDS,
) -> list[Point]:
    """Points of functions of size and seed."""
    return [
        Point(
            size=size,
            seed=seed,
            sqnr_db=sqnr(size, seed),
            oks=0.99,
            ap_drop=drop(size, seed),
            ap_drop_ci=(drop(size, seed) - 0.01, drop(size, seed) + 0.01),
            scales={"stem": 20.0, "head": scale(size, seed)},
        )
        for seed in seeds
        for size in sizes
    ]


def report(
    made: Sequence[Point] | None = None,
    pool: int = POOL,
    outliers: Sequence[Mapping[str, object]] = (),
) -> CurveReport:
    """A whole report; by default 8 crops are too few and the rest are alike."""
    made = made or points(lambda size, seed: 20 + 0.1 * seed - (3 if size == 8 else 0))
    return CurveReport(
        model="net",
        model_sha256="0" * 64,
        method="kl",
        pool=pool,
        held_out=64,
        labels="fp32 keypoints",
        fp32_ap=1.0,
        sizes=SIZES,
        seeds=SEEDS,
        points=tuple(made),
        recommended=recommend(made, pool),
        tolerance=0.1,
        disjoint=(
            DisjointSets(
                size=32,
                seed=0,
                layers=2,
                median_ratio=1.02,
                disagreements=(
                    Disagreement("gone", 3.0, None, None),
                    Disagreement("head", 10.0, 14.0, 1.4),
                ),
                sqnr_db=17.5,
            ),
        ),
        outliers=tuple(outliers),
    )
