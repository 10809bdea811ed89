"""Drawn figures: numbers at their places, names that fit, round axes, few bytes."""

import re
from xml.etree import ElementTree

import pytest

from bulkformer.report.drawing import Drawing, Scale, place, tick_text, wrapped
from bulkformer.report.figures import Estimate, Panel, Row, dot_chart, limits

ROWS = [Row(f"model_{number}", "classical") for number in range(12)]


def test_a_scale_holds_values_inside_the_axis() -> None:
    scale = Scale(0.0, 2.0, 100.0, 300.0)
    assert [scale(value) for value in (-5, 0, 1, 2, 9)] == [100, 100, 200, 300, 300]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-1.0, 1.0, [-1, -0.5, 0, 0.5, 1]),
        (0.0, 0.31, [0, 0.1, 0.2, 0.3]),
        (0.0, 37.0, [0, 10, 20, 30]),
    ],
)
def test_ticks_are_round_and_few(low: float, high: float, ticks: list[float]) -> None:
    assert Scale(low, high, 0, 1).ticks == pytest.approx(ticks)
    assert tick_text(-0.5) == "−0.5"


def test_a_text_is_broken_at_spaces_and_a_long_word_keeps_its_line() -> None:
    assert wrapped("mean over genes", 60, 10) == ["mean over", "genes"]
    assert wrapped("one\ntwo", 600, 10) == ["one", "two"]
    assert wrapped("indivisible", 10, 10) == ["indivisible"]


def test_coordinates_are_short_and_never_minus_zero() -> None:
    assert [place(value) for value in (-0.01, 12.0, 12.345)] == ["0", "12", "12.3"]


def test_markers_and_lines_are_parts_of_one_valid_figure() -> None:
    drawing = Drawing(50)
    for shape in "osD^<":
        drawing.marker(10, 10, shape, "#000")
    drawing.text(0, 0, "a < b & c")
    root = ElementTree.fromstring(drawing.svg("figure-x", "What it <shows>"))
    assert [child.tag for child in root] == ["title", "circle", *["polygon"] * 4, "text"]
    assert root[0].text == "What it <shows>"
    assert root[-1].text == "a < b & c"


def test_a_chart_of_many_models_panels_and_dots_stays_small() -> None:
    estimates = {row.model: Estimate(0.5, 0.4, 0.6) for row in ROWS}
    points = {row.model: [number / 200 for number in range(200)] for row in ROWS}
    panels = [Panel("Strict", "r", estimates, points)] * 3
    assert len(dot_chart("figure-y", "Many", ROWS, panels, "model_3")) < 150_000
    plain = [Panel("Strict", "r", estimates)] * 4
    assert len(dot_chart("figure-y", "Many", ROWS, plain, "model_3")) < 20_000


def test_a_line_that_a_panel_names_stands_in_place_of_the_floor() -> None:
    panel = Panel("p", "p", {"model_0": Estimate(0.5)}, line=(0.05, "0.05"))
    text = dot_chart("figure-z", "A line", ROWS[:1], [panel], "model_0")
    assert re.search(r">0\.05<", text)
    assert text.count(">model_0<") == 1  # beside its row alone


def test_an_axis_shows_at_least_what_it_is_told() -> None:
    low, high = limits([0.1, None, float("nan")], (-0.1, 0.2))
    assert low < -0.1
    assert high > 0.2
    assert limits([-13.0], (0.0, 1.0))[0] == pytest.approx(-1.06)
