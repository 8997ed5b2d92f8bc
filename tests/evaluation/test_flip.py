from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from quantkit.data.preprocess import InputSpec
from quantkit.errors import InputError, NotFinite
from quantkit.evaluation.decode import decode
from quantkit.evaluation.evaluate import predict
from quantkit.evaluation.flip import COCO_FLIP_INDICES, average_heatmaps
from quantkit.evaluation.head import HeadSpec
from quantkit.evaluation.prediction_journal import PredictionJournal
from tests.coco_folder import load_coco_folder
from tests.evaluation.codecs import codec_of, made_outputs, mmpose_keypoints
from tests.evaluation.test_evaluate import SPEC, Oracle
from tests.oracles import mmpose_or_skip

Array = NDArray[np.float32]

HEADS = {
    "default": HeadSpec(),
    "default shifted": HeadSpec(shift_heatmap=True),
    "dark shifted": HeadSpec(decode="dark", shift_heatmap=True),
    "udp": HeadSpec(decode="udp"),
    "udp combined": HeadSpec(decode="udp_combined"),
    "udp combined shifted": HeadSpec(decode="udp_combined", shift_heatmap=True),
    "simcc": HeadSpec("simcc"),
    "simcc dark": HeadSpec("simcc", "dark", simcc_sigma=(4.9, 5.66)),
}


def _flipped_by_mmpose(outputs: list[Array], head: HeadSpec) -> list[Array]:
    import torch
    from mmpose.models.utils.tta import flip_heatmaps, flip_vectors

    indices = list(COCO_FLIP_INDICES)
    tensors = [torch.from_numpy(output.copy())[None] for output in outputs]
    if head.type == "simcc":
        return [back[0].numpy() for back in flip_vectors(*tensors, flip_indices=indices)]
    mode = "udp_combined" if head.decode == "udp_combined" else "heatmap"
    back = flip_heatmaps(
        *tensors, flip_mode=mode, flip_indices=indices, shift_heatmap=head.shift_heatmap
    )
    return [back[0].numpy()]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
@pytest.mark.parametrize("kind", ["clean", "net", "noise"])
def test_both_answers_are_merged_as_mmposes_heads_do(head: HeadSpec, kind: str) -> None:
    codec = codec_of(head, (192, 256), (48, 64))
    generator = np.random.default_rng(7)
    for _ in range(5):
        seen, flipped = (made_outputs(kind, head, SPEC.size, generator) for _ in range(2))
        back = _flipped_by_mmpose(flipped, head)
        merged = [(one + two) * np.float32(0.5) for one, two in zip(seen, back, strict=True)]
        expected, expected_scores = mmpose_keypoints(codec, merged)
        keypoints, scores = decode(seen, head, SPEC, flipped)
        assert np.abs(expected - keypoints).max() < 1e-4
        assert np.array_equal(expected_scores, scores)
        assert not np.array_equal(keypoints, decode(seen, head, SPEC)[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_left_and_right_are_mmposes() -> None:
    mmpose_or_skip()
    from mmpose.datasets import CocoDataset

    dataset = CocoDataset(ann_file="", test_mode=True, lazy_init=True)
    assert tuple(dataset.metainfo["flip_indices"]) == COCO_FLIP_INDICES


def test_a_map_is_turned_back_to_the_other_side_of_the_body() -> None:
    flipped = np.zeros((17, 2, 4), np.float32)
    flipped[6, 1, 0] = 2
    nothing = np.zeros_like(flipped)
    plain = average_heatmaps(nothing, flipped, combined=False, shift=False)
    assert np.argwhere(plain).tolist() == [[5, 1, 3]]
    assert plain[5, 1, 3] == 1
    flipped[6] = [[0, 0, 0, 0], [0, 2, 0, 0]]
    shifted = average_heatmaps(nothing, flipped, combined=False, shift=True)
    assert np.argwhere(shifted).tolist() == [[5, 1, 3]]


class Pair:
    """A runner that answers a mirrored crop with the mirrored answer, and refuses other turns."""

    normalisation = None

    def __init__(self, oracle: Oracle, *, stop: int | None = None) -> None:
        self.oracle = oracle
        self.runs = 0
        self.stop = stop

    def stream(self, tensors: Iterable[Array]) -> Iterator[tuple[Array, ...]]:
        previous = None
        for tensor in tensors:
            if self.runs == self.stop:
                raise KeyboardInterrupt
            turn, self.runs = self.runs % 2, self.runs + 1
            answer = self.oracle.answers[(self.runs - 1) // 2]
            if turn:
                assert previous is not None
                assert np.array_equal(tensor, previous[..., ::-1])
                answer = answer[list(COCO_FLIP_INDICES), :, ::-1]
            previous = tensor
            yield (np.ascontiguousarray(answer),)


def test_every_person_is_shown_twice_in_turn(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    told: list[tuple[str, int, int]] = []
    head = HeadSpec(decode="dark")
    once: Any = Oracle(dataset)
    twice: Any = Pair(Oracle(dataset))
    expected = predict(once, dataset, SPEC, head)
    flip = replace(head, flip_test=True)
    found = predict(twice, dataset, SPEC, flip, lambda *step: told.append(step))
    assert twice.runs == 2 * len(dataset.persons)
    assert [done for _, done, _ in told] == list(range(7))
    # The answers are each other's mirror, so their average is the one of them.
    assert np.array_equal(found.keypoints, expected.keypoints)
    assert np.array_equal(found.scores, expected.scores)


def test_a_stopped_flip_test_goes_on_after_the_last_person(tmp_path: Path) -> None:
    dataset = load_coco_folder(tmp_path)
    head = HeadSpec(flip_test=True)
    whole: Any = Pair(Oracle(dataset))
    expected = predict(whole, dataset, SPEC, head)
    journal = PredictionJournal(tmp_path / "journal.jsonl", "key")
    stopped: Any = Pair(Oracle(dataset), stop=5)
    with pytest.raises(KeyboardInterrupt):
        predict(stopped, dataset, SPEC, head, journal=journal)
    assert len(journal.find(dataset.persons)) == 2
    rest = Pair(Oracle(dataset))
    rest.oracle.answers = rest.oracle.answers[2:]
    again: Any = rest
    found = predict(again, dataset, SPEC, head, journal=journal)
    assert rest.runs == 2 * (len(dataset.persons) - 2)
    assert np.array_equal(found.keypoints, expected.keypoints)


def test_an_empty_average_under_udp_is_named() -> None:
    seen = np.ones((17, 64, 48), np.float32)
    flipped = seen.copy()
    seen[3], flipped[4] = 0, 0
    head = HeadSpec(decode="udp", flip_test=True)
    with pytest.raises(NotFinite, match=r"keypoint 3 has no finite position .* maximum .* is 0"):
        decode([seen], head, SPEC, [flipped])
    decode([seen], head, SPEC, [np.ones_like(seen)])


def test_the_mirrored_answer_is_checked_too() -> None:
    seen = np.ones((17, 64, 48), np.float32)
    flipped = seen.copy()
    flipped[2, 1, 1] = np.nan
    with pytest.raises(NotFinite, match="output 0 has 1 of 52224 values that are not finite"):
        decode([seen], HeadSpec(), SPEC, [flipped])
    with pytest.raises(InputError, match="a heatmap head needs one output"):
        decode([seen], HeadSpec(), InputSpec((192, 256)), [flipped[:3]])
