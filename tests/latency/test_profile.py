import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import InputError
from quantkit.latency.layer_shape import LayerShape
from quantkit.latency.profile import (
    LatencyProfile,
    LayerTimes,
    parse_profile,
    read_profile,
    write_profile,
)
from quantkit.latency.samples import Milliseconds

POINTWISE = LayerShape("Convolution", "0=8 1=1 5=1 6=64", (8, 4, 6))
SQUARE = LayerShape("Convolution", "0=8 1=3 4=1 6=576", (8, 4, 6))

milliseconds = st.tuples(st.floats(1e-4, 1e4), st.floats(0.1, 1.0, exclude_min=True)).map(
    lambda pair: Milliseconds(pair[0], pair[0] * pair[1])
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "schema",
                    "machine",
                    "noise",
                    "layers",
                    "type",
                    "params",
                    "input",
                    "ms",
                    "fp32",
                    "int8",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


def document(**changes: Any) -> dict[str, Any]:
    layer = {
        "type": "Convolution",
        "params": SQUARE.params,
        "input": list(SQUARE.input),
        "ms": {"fp32": 0.5, "int8": {"median": 0.4, "p10": 0.3}},
    }
    return {
        "schema": 1,
        "machine": {"cpu": "a phone"},
        "noise": 0.02,
        "layers": [{**layer, **changes}],
    }


@given(
    st.dictionaries(
        st.sampled_from([POINTWISE, SQUARE]),
        st.fixed_dictionaries({"fp32": milliseconds, "int8": milliseconds}),
        min_size=1,
    ),
    st.floats(0, 1),
)
def test_what_is_written_is_read(
    forms: dict[LayerShape, dict[str, Milliseconds]], noise: float
) -> None:
    times = {shape: LayerTimes(one) for shape, one in forms.items()}
    profile = LatencyProfile({"cpu": "this"}, times, noise)
    assert parse_profile(json.loads(profile.text())) == profile


@given(anything)
def test_whatever_the_file_holds_only_its_error_is_raised(value: Any) -> None:
    with suppress(InputError):
        parse_profile(value)


@given(anything)
def test_whatever_a_layer_of_the_file_is_it_is_named(value: Any) -> None:
    with pytest.raises(InputError, match=r"^f\.json: layer 1 of the file"):
        parse_profile({**document(), "layers": [value]}, Path("f.json"))


def test_a_bare_number_is_the_median_and_the_p10() -> None:
    (times,) = parse_profile(document()).times.values()
    assert times.forms["fp32"] == Milliseconds(0.5, 0.5)
    assert times.forms["int8"] == Milliseconds(0.4, 0.3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"type": "Pooling"}, "'type' must be one of Convolution"),
        ({"params": "0=8=9"}, "layer 1 of the file: "),
        ({"input": [8, 4.5, 6]}, "whole numbers above 0"),
        ({"input": [8, 0, 6]}, "whole numbers above 0"),
        ({"input": [True, 4, 6]}, "whole numbers above 0"),
        ({"input": []}, "the shape of the blob"),
        ({"ms": {"fp32": 1.0}}, "needs fp32 and int8"),
        ({"ms": {"fp32": 1.0, "int8": 1.0, "int4": 1.0}}, "no other than fp32, int8, fp32-direct"),
        ({"ms": {"fp32": 0, "int8": 1.0}}, "'fp32' needs milliseconds above 0"),
        ({"ms": {"fp32": 1.0, "int8": {"median": 1.0, "p10": 2.0}}}, "'int8' needs"),
        ({"ms": {"fp32": 1.0, "int8": float("nan")}}, "'int8' needs"),
        ({"ms": {"fp32": 10**400, "int8": 1.0}}, "'fp32' needs"),
        (
            {"params": POINTWISE.params, "ms": {"fp32": 1, "int8": 1, "int8-direct": 1}},
            "no other than",
        ),
    ],
)
def test_a_wrong_layer_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_profile(document(**changes))


def test_a_layer_that_is_there_twice_is_refused() -> None:
    value = document()
    value["layers"] *= 2
    with pytest.raises(InputError, match="layer 2 of the file: has been there before"):
        parse_profile(value)


def test_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latency.json"
    path.write_text(json.dumps({**document(), "schema": 2}))
    with pytest.raises(InputError, match=r"latency\.json: is no file of layer times of schema 1"):
        read_profile(path)


def test_a_file_says_which_layers_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "latency.json"
    write_profile(parse_profile(document()), path)
    assert read_profile(path).missing([SQUARE, POINTWISE, POINTWISE]) == (POINTWISE,)


def test_winograd_is_switched_off_only_where_that_is_clearly_faster() -> None:
    def times(median: float, p10: float) -> LayerTimes:
        return LayerTimes(
            {
                "fp32": Milliseconds(2.0, 1.8),
                "int8": Milliseconds(1.0, 0.8),
                "int8-direct": Milliseconds(median, p10),
            }
        )

    assert times(0.5, 0.4).best("int8") == 0.5
    assert times(0.5, 0.4).best("fp32") == 2.0
    assert times(0.95, 0.4).best("int8") == 1.0
    assert times(0.5, 0.75).best("int8") == 1.0
