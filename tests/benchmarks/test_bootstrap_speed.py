"""The paired bootstrap at the size of COCO val2017: 5,000 images and 6,352 persons."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from quantkit.evaluation.bootstrap import drop_interval
from tests.evaluation.made_up import made_up_matches


@pytest.mark.benchmark(group="paired bootstrap")
def test_a_thousand_resamples_of_coco_val2017(benchmark: BenchmarkFixture) -> None:
    before, after = made_up_matches(5000, 6352, 0.9, 1), made_up_matches(5000, 6352, 0.88, 2)
    benchmark.pedantic(lambda: drop_interval(before, after), rounds=2)
