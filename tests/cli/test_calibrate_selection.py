"""Which crops `quantkit calibrate` chooses, in this process, on a small project."""

from typing import Any, NoReturn

import pytest

from quantkit.errors import InputError
from quantkit.project import calibrating
from quantkit.project.calibration_request import CalibrationRequest
from tests.cli.command import Command


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[CalibrationRequest]:
    """What is asked for, of which nothing is done."""
    requests: list[CalibrationRequest] = []

    def keep(project: object, request: CalibrationRequest, **given: Any) -> NoReturn:
        requests.append(request)
        raise InputError("asked")

    monkeypatch.setattr(calibrating, "calibrate_model", keep)
    return requests


@pytest.mark.parametrize(
    ("options", "strategy", "method", "count"),
    [
        ((), "random", "kl", 128),
        (("--fast",), "measured", "kl", 16),
        (("--method", "kl"), "measured", "kl", 16),
        (("--method", "minmax"), "measured", "minmax", 16),
        (("--method", "best"), "random", "kl", 128),
        (("--fast", "--select", "random"), "random", "kl", 128),
        (("--select", "measured"), "measured", "kl", 16),
        (("--fast", "--count", "40"), "measured", "kl", 40),
        (("--count", "40"), "random", "kl", 40),
        (("--compat", "ncnn2table"), "measured", "kl", 16),
        (("--compat", "ncnn2table", "--method", "eq"), "random", "kl", 128),
    ],
)
def test_sets_are_measured_where_statistics_alone_decide(
    quantkit: Command,
    asked: list[CalibrationRequest],
    options: tuple[str, ...],
    strategy: str,
    method: str,
    count: int,
) -> None:
    assert quantkit("calibrate", *options, "--seed", "3")[0] == 2
    (request,) = asked
    found = request.selected
    assert (found.strategy, found.method, found.seed) == (strategy, method, 3)
    assert found.sized(5000).count == count


@pytest.mark.slow
def test_a_fast_table_has_a_measured_set_which_is_proven(quantkit: Command) -> None:
    value = quantkit.json("calibrate", "--fast", "--count", "4")
    name = "small-measured-kl-4-seed0"
    assert value["calibration_set"] == name
    code, out, _ = quantkit("select", "--verify", name)
    assert code == 0, out
    assert "ok      replay       measured with seed 0 chooses the same persons again" in out


@pytest.mark.slow
def test_the_sets_of_two_methods_lie_side_by_side(quantkit: Command) -> None:
    names = [
        quantkit.json("calibrate", "--method", method, "--count", "4")["calibration_set"]
        for method in ("minmax", "kl")
    ]
    assert names == ["small-measured-minmax-4-seed0", "small-measured-kl-4-seed0"]
    there = {path.stem for path in quantkit.project.calib_sets_dir.iterdir()}
    assert there == set(names)


@pytest.mark.slow
def test_a_set_is_measured_by_the_method_that_is_named(quantkit: Command) -> None:
    measured = ("select", "--strategy", "measured", "--count", "4", "--method", "minmax")
    value = quantkit.json(*measured, "--no-sheet")
    assert value["name"] == "small-measured-minmax-4-seed0"
    assert value["parameters"] == {"method": "minmax"}
    assert isinstance(value["covers"]["sqnr_db"], float)
    assert quantkit("select", "--verify", value["name"])[0] == 0


@pytest.mark.parametrize(
    "options", [(), ("--strategy", "random"), ("--strategy", "coverage"), ("--refuse-outliers",)]
)
def test_a_method_where_none_decides_is_refused(
    quantkit: Command, options: tuple[str, ...]
) -> None:
    code, out, err = quantkit("select", "--method", "minmax", *options)
    assert (code, out) == (2, "")
    said = "error: --method goes with --curve or --strategy measured only"
    assert err.splitlines()[-1] == said
    assert not quantkit.project.calib_sets_dir.exists()


def test_an_unknown_method_is_answered_with_those_there_are(quantkit: Command) -> None:
    code, out, err = quantkit("select", "--strategy", "measured", "--method", "entropy")
    assert (code, out) == (2, "")
    assert "there is no calibration method 'entropy'; there are minmax, kl" in err.splitlines()[-1]
