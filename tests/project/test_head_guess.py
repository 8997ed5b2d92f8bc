import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.data.preprocess import InputSpec
from quantkit.errors import InputError
from quantkit.evaluation.decode import decode
from quantkit.evaluation.head import HeadSpec
from quantkit.model.shape_rule import Shape
from quantkit.project.head_guess import HeadGuess, guess_head

SIDES = st.integers(4, 48).map(lambda side: 8 * side)
KEYPOINTS = st.sampled_from([1, 13, 17, 20, 21, 68, 98, 106, 133])


def decoded(guess: HeadGuess, shapes: dict[str, Shape], size: tuple[int, int]) -> int:
    """Decode random outputs of these shapes by what was guessed; how many keypoints came."""
    rng = np.random.default_rng(0)
    assert guess.outputs is not None
    assert guess.type is not None
    outputs = [rng.random(shapes[name]).astype(np.float32) for name in guess.outputs]
    head = HeadSpec(
        type=guess.type,
        decode=guess.decode,
        keypoints=guess.keypoints,
        simcc_split_ratio=guess.split_ratio,
    )
    return len(decode(outputs, head, InputSpec(size))[0])


@given(SIDES, SIDES, KEYPOINTS, st.sampled_from([1.0, 1.5, 2.0, 2.5, 3.0]), st.booleans())
def test_simcc_is_told_from_its_bins(
    width: int, height: int, keypoints: int, ratio: float, y_first: bool
) -> None:
    shapes: dict[str, Shape] = {
        "a": (keypoints, round(width * ratio)),
        "b": (keypoints, round(height * ratio)),
    }
    listed = dict(reversed(shapes.items())) if y_first else shapes
    guess = guess_head(listed, (width, height))
    if width != height:
        assert guess.outputs == ("a", "b")
        assert guess.remark == ""
    else:
        assert guess.outputs == tuple(listed)
        assert "x, then y" in guess.remark
    assert (guess.type, guess.split_ratio) == ("simcc", ratio)
    assert decoded(guess, shapes, (width, height)) == keypoints


@given(SIDES, SIDES, KEYPOINTS, st.sampled_from([2, 4, 8]))
def test_a_heatmap_is_told_from_its_aspect(
    width: int, height: int, keypoints: int, stride: int
) -> None:
    shapes: dict[str, Shape] = {"hm": (keypoints, height // stride, width // stride)}
    guess = guess_head(shapes, (width, height))
    assert (guess.outputs, guess.type, guess.keypoints) == (("hm",), "heatmap", keypoints)
    assert decoded(guess, shapes, (width, height)) == keypoints


@pytest.mark.parametrize(
    ("names", "x", "told"),
    [
        (("out1", "out0"), "out0", True),
        (("out10", "out9"), "out9", True),
        (("752", "750"), "750", True),
        (("simcc_y", "simcc_x"), "simcc_x", False),
        (("PRED_X", "PRED_Y"), "PRED_X", False),
        (("/head/cls_y/out", "/head/cls_x/out"), "/head/cls_x/out", False),
        (("second", "first"), "second", True),
    ],
)
def test_on_a_square_input_names_and_numbers_order_simcc(
    names: tuple[str, str], x: str, told: bool
) -> None:
    guess = guess_head(dict.fromkeys(names, (17, 128)), (64, 64))
    assert guess.outputs is not None
    assert guess.outputs[0] == x
    assert bool(guess.remark) == told


def test_of_a_heatmap_and_its_offsets_the_heatmap_is_taken() -> None:
    offsets: dict[str, Shape] = {"off": (34, 16, 12), "hm": (17, 16, 12), "forward": (32, 16, 12)}
    guess = guess_head(offsets, (48, 64))
    assert (guess.outputs, guess.type, guess.keypoints) == (("hm",), "heatmap", 17)
    assert "by its shape" in guess.remark


def test_which_of_two_like_outputs_is_the_heatmap_is_asked() -> None:
    shapes: dict[str, Shape | None] = {"a": (17, 16, 12), "b": (17, 32, 24)}
    guess = guess_head(shapes, (48, 64))
    assert (guess.outputs, guess.type, guess.candidates) == (None, "heatmap", ("a", "b"))
    assert guess_head(shapes, (48, 64), chosen=["b"]).outputs == ("b",)
    with pytest.raises(InputError, match="no such output, only a, b"):
        guess_head(shapes, (48, 64), chosen=["c"])


def test_three_maps_a_keypoint_are_udps() -> None:
    guess = guess_head({"o": (51, 16, 12)}, (48, 64))
    assert (guess.decode, guess.keypoints) == ("udp_combined", 17)
    assert "--decode default" in guess.remark
    guess = guess_head({"o": (51, 16, 12)}, (48, 64), decode="default")
    assert (guess.decode, guess.keypoints, guess.remark) == ("default", 51, "")
    guess = guess_head({"o": (39, 16, 12)}, (48, 64), decode="udp_combined")
    assert (guess.decode, guess.keypoints) == ("udp_combined", 13)
    with pytest.raises(InputError, match="'o' has 20"):
        guess_head({"o": (20, 16, 12)}, (48, 64), decode="udp_combined")


def test_two_masks_are_no_simcc() -> None:
    guess = guess_head({"a": (1, 64, 64), "b": (1, 64, 64)}, (64, 64))
    assert (guess.type, guess.outputs) == ("heatmap", None)


def test_the_batch_axis_that_pnnx_leaves_is_seen_through() -> None:
    guess = guess_head({"out1": (1, 17, 512), "out0": (1, 17, 384)}, (192, 256))
    assert (guess.outputs, guess.split_ratio) == (("out0", "out1"), 2.0)
    assert guess_head({"hm": (1, 16, 12)}, (48, 64)).keypoints == 1


def test_a_heatmap_may_be_larger_than_the_image() -> None:
    guess = guess_head({"hm": (17, 128, 96)}, (48, 64))
    assert guess.type == "heatmap"


def test_very_many_maps_are_remarked_on() -> None:
    guess = guess_head({"o": (198, 28, 28)}, (224, 224))
    assert guess.keypoints == 198
    assert "198 maps are read as 198 keypoints" in guess.remark


@pytest.mark.parametrize("shape", [(34,), (17, 2), (1, 17, 3), (17, 12, 16), (2048, 1, 1)])
def test_what_no_head_fits_is_said(shape: Shape) -> None:
    guess = guess_head({"o": shape}, (48, 64))
    assert (guess.type, guess.keypoints) == ("none", 0)
    assert "no keypoints are read" in guess.remark
    with pytest.raises(InputError, match="--head simcc does not fit"):
        guess_head({"o": shape}, (48, 64), head="simcc")


def test_unknown_shapes_leave_the_head_open() -> None:
    guess = guess_head({"a": None, "b": (17, 2)}, (48, 64))
    assert (guess.outputs, guess.type) == (None, None)
    guess = guess_head({"a": None, "b": None}, (48, 64), chosen=["b", "a"], head="simcc")
    assert (guess.outputs, guess.type) == (("b", "a"), "simcc")


def test_the_same_bins_at_the_wrong_size_are_no_simcc() -> None:
    guess = guess_head({"x": (17, 384), "y": (17, 512)}, (256, 256))
    assert (guess.type, guess.keypoints) == ("none", 0)
