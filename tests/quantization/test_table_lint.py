import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.calibration.finding import Finding, counts
from quantkit.calibration.table import CalibrationTable, parse_table
from quantkit.calibration.table_lines import entries, table_lines
from quantkit.calibration.weight_scales import scale_count
from quantkit.errors import InputError
from quantkit.model.network import Network
from quantkit.model.param import read_param
from quantkit.model.shapes import blob_shapes
from quantkit.model.weights import LayerWeights, Record, read_weights
from quantkit.quantization.table_check import check_table
from quantkit.quantization.table_lint import fitting_table, lint_table
from tests.nets import INPUT, NetBuilder, crop, small_network
from tests.quantization.agreement import simple_table

NETWORK = small_network(np.random.default_rng(0))
SHAPES = blob_shapes(NETWORK.param, {INPUT: (3, 64, 48)})
LAYERS = (
    "stem depthwise expand residual grouped excite neck left right head".split()  # noqa: SIM905
)


@pytest.fixture(scope="module")
def table() -> CalibrationTable:
    tensor = crop(np.random.default_rng(1))
    sound = simple_table(NETWORK, tensor, LAYERS)
    activations = {**sound.activation_scales, "right": sound.activation_scales["left"]}
    return parse_table(replace(sound, activation_scales=activations).text())


def found(text: str, network: Network | None = NETWORK) -> list[tuple[str, int | None, str]]:
    return [(x.severity, x.line, x.message) for x in lint_table(text, network, SHAPES)]


def given_scales(network: Network, name: str) -> tuple[float, ...]:
    layer = network.param.layer(name)
    rows = np.abs(network.weights[name]["weight"]).reshape(scale_count(layer), -1)
    return tuple(float(x) for x in 127 / rows.max(axis=1))


def one(findings: list[tuple[str, int | None, str]], message: str) -> tuple[str, int | None]:
    fitting = [(severity, line) for severity, line, said in findings if message in said]
    assert len(fitting) == 1, findings
    return fitting[0]


def test_a_sound_table_has_no_findings(table: CalibrationTable) -> None:
    assert found(table.text()) == []


@pytest.mark.parametrize(
    ("bad", "severity", "message"),
    [
        ("inf", "error", "is inf, which is not finite"),
        ("-nan", "error", "is -nan, which is not finite"),
        ("0.000000", "error", "is zero"),
        ("-2.0", "error", "is -2.0, which is negative"),
        ("1e39", "error", "is 1e39, which is not finite"),
        ("12,5", "error", "is '12,5', which is not a number"),
        ("0.000123", "warning", "1 scales lost digits, such as 0.000123"),
    ],
)
@pytest.mark.parametrize("line", [1, 20])
def test_a_bad_scale_names_its_line(
    table: CalibrationTable, bad: str, severity: str, message: str, line: int
) -> None:
    lines = table.text().splitlines()
    key, _, *rest = lines[line - 1].split()
    lines[line - 1] = " ".join([key, bad, *rest])
    assert one(found("\n".join(lines)), message) == (severity, line)


def test_scales_with_enough_digits_are_not_coarse(table: CalibrationTable) -> None:
    text = table.text()
    head = text.splitlines()[-1]
    for scale in ("0.001234", "1.2345e-04", "0.00012345"):
        assert found(text.replace(head, f"head {scale}")) == []


def test_a_blank_line_names_what_is_lost(table: CalibrationTable) -> None:
    lines = table.text().splitlines()
    lines.insert(4, "  ")
    expected = "ncnn2int8 stops reading here and loses the lines down to 21"
    assert one(found("\n".join(lines)), expected) == ("error", 5)
    assert one(found(table.text() + "\n"), "blank line at the end") == ("warning", 21)


def test_a_line_that_stands_twice_a_tab_and_a_lone_name_are_errors(
    table: CalibrationTable,
) -> None:
    text = table.text() + "head 3.0\nstem\t4.0\nneck\n"
    findings = found(text)
    assert one(findings, "'head' stands in line 20 already") == ("error", 21)
    assert one(findings, "has a tab") == ("error", 22)
    assert one(findings, "no scales follow the name") == ("error", 23)


def test_keys_that_ncnn2int8_misreads_are_errors() -> None:
    long = "x" * 250
    findings = found(f"a_param_b 1.0\n{long}_param_0 1.0\n{long} 1.0\n", None)
    assert one(findings, "contains '_param_', which ncnn2int8 misfiles") == ("error", 1)
    assert [line for _, line, said in findings if "a key has at most 255" in said] == [2, 3]


def test_keys_of_no_layer_or_of_another_type_are_errors(table: CalibrationTable) -> None:
    findings = found(table.text() + "haed_param_0 1.0\nhaed 1.0\npool 1.0\n")
    assert one(findings, "its weight line is of a layer that is not") == ("error", 21)
    assert one(findings, "its activation line is of a layer that is not") == ("error", 22)
    assert one(findings, "a Pooling has no weights to make int8") == ("error", 23)


def test_wrong_counts_are_errors(table: CalibrationTable) -> None:
    text = (
        table.text().replace("stem_param_0 ", "stem_param_0 1.0 ").replace("\nhead ", "\nhead 2 ")
    )
    assert one(found(text), "has 17 weight scales instead of 16") == ("error", 1)
    assert one(found(text), "has 2 activation scales instead of 1") == ("error", 20)


def test_a_commented_weight_line_says_what_ncnn2int8_loses(table: CalibrationTable) -> None:
    text = table.text().replace("residual_param_0", "#residual_param_0")
    message = (
        "has no weight line (it is commented out in line 4): ncnn2int8 ends there, and 4 later"
        " Convolution layers stay in fp32"
    )
    assert one(found(text), message) == ("error", 14)


def test_a_commented_activation_line_is_a_warning_and_both_are_a_hint(
    table: CalibrationTable,
) -> None:
    half = table.text().replace("\nhead ", "\n#head ")
    message = "stays in fp32, as it has no activation line (it is commented out in line 20)"
    assert one(found(half), message) == ("warning", 10)
    both = half.replace("\nhead_param_0", "\n#head_param_0")
    assert found(both) == [("hint", 10, "stays in fp32, as it has no lines")]
    assert found(table.without(["head"]).text()) == [
        ("hint", None, "stays in fp32, as it has no lines")
    ]


def test_six_bits_where_more_are_safe_is_a_hint(table: CalibrationTable) -> None:
    six = {"residual": tuple(31 / 127 * x for x in table.weight_scales["residual"])}
    text = replace(table, weight_scales={**table.weight_scales, **six}).text()
    assert found(text) == [("hint", 4, "has 6-bit weights where 127 levels are safe")]


@pytest.mark.parametrize(
    ("channels", "levels", "expected"),
    [
        (16, 127, []),
        (64, 127, ["error"]),
        (64, 31, []),
        (128, 31, ["warning"]),
    ],
)
def test_levels_beyond_what_f43_bears_are_an_error(
    channels: int, levels: int, expected: list[str]
) -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("wide", INPUT, "wide", (channels, 8), kernel=3)
    network = net.build()
    signs = np.sign(network.weights["wide"]["weight"])
    records = {**network.weights["wide"].records, "weight": Record(signs, 0)}
    network = network.replaced({}, {"wide": LayerWeights(records)})
    table = CalibrationTable({"wide": (float(levels),) * 8}, {"wide": 1.0})
    findings = [x for x in lint_table(table.text(), network) if x.severity != "hint"]
    assert [x.severity for x in findings] == expected
    for finding in findings:
        assert f"can overflow in Winograd F43 (from {levels} levels on)" in finding.message


def test_siblings_of_different_scale_are_a_warning(table: CalibrationTable) -> None:
    scales = {**table.activation_scales, "right": 2 * table.activation_scales["left"]}
    findings = found(replace(table, activation_scales=scales).text())
    expected = "reads the same blob as 'left' with a scale 2 times its own"
    assert one(findings, expected) == ("warning", 19)


def test_layers_that_the_runtime_gets_wrong_are_errors() -> None:
    net = NetBuilder(np.random.default_rng(0))
    net.conv("grouped", INPUT, "a", (4, 16), kernel=3, group=2)
    net.conv("next", "a", "b", (16, 16))
    net.add("Pooling", "pool", ("b",), ("c",), {0: 1, 4: 1})
    net.conv("squeeze", "c", "d", (16, 8))
    network = net.build()
    shapes = blob_shapes(network.param, {INPUT: (4, 8, 8)})
    names = ("grouped", "next", "squeeze")
    table = CalibrationTable(
        {name: given_scales(network, name) for name in names}, dict.fromkeys(names, 1.0)
    )

    def errors(table: CalibrationTable) -> list[str | None]:
        findings = lint_table(table.text(), network, shapes)
        return [x.layer for x in findings if x.severity == "error"]

    assert errors(table) == ["squeeze"]
    assert errors(table.without(["next"])) == ["grouped", "squeeze"]


def test_a_table_of_nothing_is_an_error() -> None:
    for text in ("", "\n", "# nothing\n"):
        assert one(found(text, None), "holds no scales") == ("error", None)


WORDS = "stem stem_param_0 head # #head x_param_3 _param_0 1.0 0 inf nan -1 1e-9 2,0 \t \0"
LINE = st.one_of(
    st.text(max_size=30),
    st.lists(st.sampled_from(WORDS.split(" ")), max_size=5).map(" ".join),
)


def refused_at(text: str) -> int | str | None:
    """The line that the strict reader refuses, or `nothing`."""
    try:
        parse_table(text, Path("t"))
    except InputError as error:
        place = str(error).split(":")[1]
        return int(place) if place.isdigit() else None
    return "nothing"


@given(st.lists(LINE, max_size=8).map("\n".join))
def test_the_reader_takes_what_has_no_error_and_names_the_first_otherwise(text: str) -> None:
    findings = lint_table(text)
    for finding in (*findings, *lint_table(text, NETWORK, SHAPES)):
        assert finding.text("t").isprintable()
    assert sum(counts(findings).values()) == len(findings)
    errors = [finding.line for finding in findings if finding.severity == "error"]
    assert refused_at(text) == (errors[0] if errors else "nothing")


VALID = simple_table(NETWORK, crop(np.random.default_rng(1)), LAYERS).text()
DAMAGE = ["", "\n", "\r", "\t", " ", "\0", "\ufeff", "#", "x", "-", "0", "inf", ",", "_param_1"]


DAMAGES = st.lists(
    st.tuples(st.integers(0, len(VALID)), st.integers(0, 3), st.sampled_from(DAMAGE)),
    min_size=1,
    max_size=4,
)


def refusal(path: Path) -> str | None:
    """What is said where a file is not read for the network."""
    try:
        table = fitting_table(path, NETWORK)
    except InputError as error:
        return str(error)
    check_table(NETWORK, table)
    assert parse_table(table.text()).layers == table.layers
    return None


@settings(deadline=None, max_examples=60)
@given(damages=DAMAGES)
def test_quantize_reads_a_damaged_table_if_the_check_has_no_error(
    damages: list[tuple[int, int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = VALID
    for place, length, put in damages:
        text = text[:place] + put + text[place + length :]
    path = tmp_path_factory.getbasetemp() / "damaged.table"
    path.write_bytes(text.encode())
    # What may overflow at run time is written all the same.
    errors = [x for x in lint_table(text, NETWORK) if x.severity == "error"]
    errors = [x for x in errors if "Winograd" not in x.message]
    said = refusal(path)
    assert (said is None) == (not errors)
    assert said is None or said.endswith(errors[0].sentence)


@given(st.lists(LINE, max_size=8).map("\n".join))
def test_every_line_is_kept(text: str) -> None:
    lines = table_lines(text)
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    bare = re.sub(r"\r+$", "", text.removesuffix("\n"), flags=re.MULTILINE)
    assert "\n".join(line.raw for line in lines) == bare
    entries(lines)


GOLDEN = {"small_96x96": (96, 96), "simplepose_256x192": (256, 192), "tinypose_256x192": (256, 192)}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kl", "aciq", "mixed"])
@pytest.mark.parametrize("name", GOLDEN)
def test_ncnn2tables_own_tables_have_only_their_six_bits_to_hint_at(
    golden: Path, name: str, kind: str
) -> None:
    param = read_param(golden / name / "fp32.param")
    network = Network(param, read_weights(param, golden / name / "fp32.bin"))
    shapes = blob_shapes(param, {param.layers[0].tops[0]: (3, *GOLDEN[name])})
    text = (golden / name / f"{kind}.table").read_text()
    expected = []
    if name == "small_96x96":
        expected.append(("convrelu_2", "has 6-bit weights where 127 levels are safe"))
    findings: tuple[Finding, ...] = lint_table(text, network, shapes)
    assert {x.severity for x in findings} <= {"hint"}
    six = [(x.layer, x.message) for x in findings if x.line is not None]
    assert six == expected
    absent = [x for x in findings if x.line is None]
    assert bool(absent) == (kind == "mixed")
