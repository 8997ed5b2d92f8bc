"""`quantkit select` by what images and the network say, in this process, on a small project."""

import cv2
import pytest

from quantkit.selection import STRATEGIES
from tests.cli.command import Command
from tests.projects import plant_outlier


@pytest.mark.slow
def test_a_choice_by_the_network_is_written_drawn_and_proven(quantkit: Command) -> None:
    code, out, err = quantkit("select", "--strategy", "coverage", "--count", "4", "--threads", "1")
    assert code == 0, err
    name = "small-coverage-4-seed0"
    assert out.startswith("4 crops of ")
    assert out.endswith(f" images: calib_sets/{name}.json\n")
    assert "candidates: one forward of 12 persons, 0 MB on disk" in err
    assert cv2.imread(str(quantkit.project.work_dir / "calib_sets" / f"{name}.png")) is not None
    code, out, err = quantkit("select", "--verify", name)
    assert code == 0, out
    assert "ok      network      still " in out
    assert "ok      replay       coverage with seed 0 chooses the same persons again" in out
    assert "candidates: one forward" not in err


@pytest.mark.slow
def test_an_outlier_is_refused_where_that_is_asked_for(quantkit: Command) -> None:
    outlier = plant_outlier(quantkit.project)
    value = quantkit.json("select", "--refuse-outliers", "--name", "mine")
    assert [one["annotation_id"] for one in value["refused"]] == [outlier]
    assert " times the rest in " in value["refused"][0]["reason"]
    assert value["parameters"] == {"refuse_outliers": 1}
    assert (value["count"], value["candidates"]) == (10, 11)
    assert quantkit("select", "--verify", "mine")[0] == 0
    code, out, err = quantkit("select", "--refuse-outliers", "--count", "11", "--name", "other")
    assert (code, out) == (2, "")
    said = "11 persons are asked for, but 10 may be chosen: 1 of 11 is an outlier; give --count 10"
    assert err.splitlines()[-1].endswith(f"train.json: {said}")
    assert [one.name for one in quantkit.project.calib_sets_dir.iterdir()] == ["mine.json"]
    count = ("--count", "10")
    assert quantkit("select", "--refuse-outliers", *count, "--name", "other")[0] == 0


def test_of_larger_data_some_are_drawn(quantkit: Command) -> None:
    few = ("--strategy", "stratified", "--count", "3", "--among", "5", "--name", "mine")
    value = quantkit.json("select", *few)
    assert value["parameters"] == {"among": 5}
    assert sum(one["pool"] for one in value["covers"]["traits"]["size"].values()) == 5
    assert quantkit("select", "--verify", "mine")[0] == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--strategy", "first"),
        ("--strategy", "stratified", "--count", "2"),
        pytest.param(("--strategy", "influence", "--count", "2"), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    ("cut", "said"), [(-20, "is truncated ("), (0, "is not an image that OpenCV can decode")]
)
def test_a_broken_image_is_one_line_and_no_set_is_written(
    quantkit: Command, options: tuple[str, ...], cut: int, said: str
) -> None:
    image = quantkit.project.calibration.images / "000005.png"
    image.write_bytes(image.read_bytes()[:cut])
    code, out, err = quantkit("select", *options)
    assert (code, out) == (2, "")
    assert f"000005.png: {said}" in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("error: ")
    assert not quantkit.project.calib_sets_dir.exists()
    assert not (quantkit.project.work_dir / "calib_sets").exists()


def test_an_unknown_strategy_is_answered_with_those_there_are(quantkit: Command) -> None:
    code, out, err = quantkit("select", "--strategy", "best")
    assert (code, out) == (2, "")
    names = ", ".join(STRATEGIES)
    assert err.splitlines()[-1] == f"error: there is no strategy 'best'; there are {names}"


@pytest.mark.parametrize("options", [(), ("--refuse-outliers",), ("--strategy", "herding")])
def test_more_than_there_are_is_refused_before_anything_is_run(
    quantkit: Command, options: tuple[str, ...]
) -> None:
    code, out, err = quantkit("select", "--count", "13", *options)
    assert (code, out) == (2, "")
    said = "train.json: 13 persons are asked for, but there are 12; give --count 12"
    assert err.splitlines()[-1].endswith(said)
    assert not (quantkit.project.root / "work_dirs").exists()
