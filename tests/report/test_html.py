"""The page: complete, closed in itself, and safe from the names of layers."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

from quantkit.report.contents import ReportContents
from quantkit.report.html import report_html
from quantkit.report.html_markup import escaped
from quantkit.report.pictures import OUTLIERS, PICTURES
from quantkit.stability.recommendation import Recommendation
from tests.report.measured import DEAD, FORMULA, HOSTILE, LONG, contents

PNG = {name: f"\x89PNG {name}".encode("latin-1") for name in PICTURES}
VOID = {"meta", "img", "wbr"}


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._open and self._open[-1] == "td":
            self.rows[-1][-1] += data


def test_every_layer_of_the_ranking_stands_in_the_page_with_its_figures() -> None:
    made = contents(269)
    page = Page(report_html(made, PNG))
    assert made.ranking is not None
    rows = {row[1]: row for row in page.rows if len(row) > 5 and row[0].isdigit()}
    assert {layer.name for layer in made.ranking.layers} <= set(rows)
    assert rows[DEAD][4] == "SIGSEGV"
    assert rows[HOSTILE][:5] == ["2", HOSTILE, "dw conv", "0.4%", "11.0"]
    assert "+.004 [-.001, +.009]" in rows[HOSTILE]
    assert rows[FORMULA][4] == "12.0"
    assert LONG in rows


def test_a_hostile_layer_name_is_text_wherever_it_appears() -> None:
    made = replace(contents(), model=HOSTILE)
    text = report_html(made, PNG)
    page = Page(text)
    assert "script" not in page.tags
    assert "<script" not in text
    assert page.tags.count("img") == len(PICTURES)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "".join(page.words).count(HOSTILE) >= 5
    assert escaped('"\x00\u202e') == "&quot;\\x00\\u202e"


def test_pictures_are_inside_and_nothing_is_fetched() -> None:
    text = report_html(contents(), PNG)
    page = Page(text)
    sources = [value for name, value in page.attributes if name in ("src", "href")]
    prefix = "data:image/png;base64,"
    inlined = [base64.b64decode(one.removeprefix(prefix)) for one in sources]
    assert all(one.startswith(prefix) for one in sources)
    assert sorted(inlined) == sorted(PNG.values())
    assert "http" not in text
    assert "url(" not in text
    assert "@import" not in text


def test_the_figures_of_backends_search_and_worst_layers_are_in_tables() -> None:
    page = Page(report_html(contents(), PNG))
    words = " ".join(page.words)
    for expected in (
        *("0.7129", "+0.0042", "-0.0010 .. +0.0091", "needs 'tensorrt' | a GPU"),
        *("17 dB are less than 25", "0.0015 [-0.0025, 0.0055]", "4.200 predicted", "on the front"),
        *("kl 2, mse 3.5", '<script>alert("1")</script> clips. Remedy: another threshold'),
        "Confirmed once on 340 persons of val.json: AP drop 0.0010 [-0.0020, 0.0030], OKS to",
        *("Left in fp32 by the table: first.", "Rank correlation with their OKS drop: 0.91."),
    ):
        assert expected in words, expected


def test_the_curve_stands_in_the_page_with_what_it_recommends() -> None:
    made = contents()
    text = report_html(made, PNG)
    page = Page(text)
    assert made.curve is not None
    figures = ("0%", "20.20 ± 0.16", "0.0100 ± 0.0000", "0.9900", "0.0%", "13%")
    assert ["16", *figures, HOSTILE] in page.rows
    (marked,) = re.findall('<tr class="strong"><td class="n">([^<]*)</td><td class="n">0%', text)
    assert marked == str(made.curve.recommended.size) == "16"
    words = " ".join(page.words)
    for expected in (
        *("How many crops a table needs", "Recommended: 16 crops. Up to 64 crops the mean SQNR"),
        *("net: kl tables of 5 seeds a size.", "Drawn from 10000 persons and judged on 64"),
        *("Two disjoint sets of 32, seed 0: the scales of 2 of 2 layers", "gone: 3 and fp32"),
        f"{HOSTILE} (5): 1.8 times the rest in {FORMULA}",
    ):
        assert expected in words, expected
    assert "How many crops" not in report_html(replace(made, curve=None), PNG)


def test_outliers_that_were_drawn_stand_below_their_names() -> None:
    made = contents()
    assert made.curve is not None
    text = report_html(made, {**PNG, OUTLIERS: b"crops"})
    picture = f"data:image/png;base64,{base64.b64encode(b'crops').decode()}"
    assert text.index("1.8 times the rest") < text.index(picture)
    assert picture not in report_html(replace(made, curve=None), {**PNG, OUTLIERS: b"crops"})


def test_a_curve_that_recommends_nothing_marks_no_size() -> None:
    made = contents()
    assert made.curve is not None
    none = replace(made.curve, recommended=Recommendation(None, "It goes on."), disjoint=())
    page = Page(report_html(replace(made, curve=none, search=None), {}))
    assert ("class", "strong") not in page.attributes
    assert "not settled. It goes on." in " ".join(page.words)


def test_what_is_missing_is_named_with_what_makes_it() -> None:
    made = contents()
    words = Page(report_html(made, PNG)).words
    assert {"the weather", "not measured", "quantkit look --out"} <= set(words)
    nothing = ReportContents("net", None, None, None, (), None, (), {})
    page = Page(report_html(nothing, {}))
    assert "img" not in page.tags
    assert "What is missing" not in page.words
