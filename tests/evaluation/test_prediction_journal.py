from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantkit.data.coco import PoseDataset
from quantkit.errors import InputError, NotFinite
from quantkit.evaluation.evaluate import predict
from quantkit.evaluation.head import HeadSpec
from quantkit.evaluation.prediction_file import read_predictions, write_predictions
from quantkit.evaluation.prediction_journal import PredictionJournal
from quantkit.evaluation.predictions import Predictions
from tests.coco_folder import load_coco_folder
from tests.evaluation.made_up import predictions_near_labels
from tests.evaluation.test_evaluate import SPEC, Oracle

HEAD = HeadSpec(decode="dark")


def runner(dataset: PoseDataset) -> Any:
    """A runner that knows the labels."""
    return Oracle(dataset)


def same(one: Predictions, other: Predictions) -> bool:
    """Compare bit for bit."""
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)]
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)


def test_a_stopped_run_shows_the_rest_only_and_ends_the_same(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    whole = predict(runner(dataset), dataset, SPEC, HEAD)
    breaking = runner(dataset)
    breaking.answers[4][2, 5, 5] = np.nan
    path = tmp_path / "kept.jsonl"
    with pytest.raises(NotFinite, match="annotation 301"):
        predict(breaking, dataset, SPEC, HEAD, journal=PredictionJournal(path, "key"))

    resumed = runner(dataset)
    resumed.answers = resumed.answers[4:]
    told: list[tuple[str, int, int]] = []
    found = predict(
        resumed,
        dataset,
        SPEC,
        HEAD,
        lambda *step: told.append(step),
        PredictionJournal(path, "key"),
    )
    assert resumed.asked == 2
    assert told == [("predict", done, 6) for done in (4, 5, 6)]
    assert same(found, whole)


def test_a_finished_journal_asks_the_network_nothing(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    path = tmp_path / "kept.jsonl"
    whole = predict(runner(dataset), dataset, SPEC, HEAD, journal=PredictionJournal(path, "key"))
    idle = runner(dataset)
    assert same(predict(idle, dataset, SPEC, HEAD, journal=PredictionJournal(path, "key")), whole)
    assert idle.asked == 0


def test_another_key_finds_nobody(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    path = tmp_path / "kept.jsonl"
    predict(runner(dataset), dataset, SPEC, HEAD, journal=PredictionJournal(path, "key"))
    assert len(PredictionJournal(path, "key").find(dataset.persons)) == 6
    assert PredictionJournal(path, "other").find(dataset.persons) == {}
    PredictionJournal(path, "other").remove()
    assert PredictionJournal(path, "key").find(dataset.persons) == {}


def test_predictions_on_disk_read_back_bit_for_bit(tmp_path: Path) -> None:
    predictions = predictions_near_labels(load_coco_folder(tmp_path), noise=0.1)
    path = tmp_path / "p.json"
    write_predictions(path, "key", predictions)
    found = read_predictions(path, "key")
    assert found is not None
    assert same(found, predictions)
    assert read_predictions(path, "other") is None


def test_a_journal_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    (tmp_path / "file").write_text("")
    journal = PredictionJournal(tmp_path / "file" / "kept.jsonl", "key")
    with pytest.raises(InputError, match=r"kept\.jsonl: cannot be written"):
        predict(runner(dataset), dataset, SPEC, HEAD, journal=journal)
