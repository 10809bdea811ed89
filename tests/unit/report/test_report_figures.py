"""Figures: markup that is safe in a page, and nothing drawn that was not given."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pandas as pd
from report_mock import history_rows, training

from bulkformer.report.cells import decimal, interval, label, plural, short_decimal
from bulkformer.report.figures import (
    CurvePanel,
    Estimate,
    Panel,
    Row,
    curve_chart,
    dot_chart,
    spread,
)
from bulkformer.report.learning_figures import (
    MAX_CURVE_POINTS,
    degree_histograms,
    pretraining_curve,
)

ROWS = [Row("bulkformer", "foundation"), Row("random", "control", True), Row("mean", "baseline")]
PANEL = Panel("Legacy", "r", {"bulkformer": Estimate(0.9, 0.8, 0.95), "mean": Estimate(0.8)})


def chart(name: str = "figure-a", rows: list[Row] = ROWS) -> str:
    return str(dot_chart(name, "What it shows", rows, [PANEL], "mean"))


def test_a_figure_parses_and_keeps_its_text_as_text():
    texts = [e.text for e in ElementTree.fromstring(chart()).iter("text")]
    assert {"bulkformer", "random (untrained)", "mean", "0.900", "0.800"} <= set(texts)


def test_a_model_without_a_value_is_said_not_to_have_run():
    assert chart().count(">not run<") == 1


def test_two_figures_share_no_id():
    ids = [set(re.findall(r' id="([^"]+)"', chart(name))) for name in ("figure-a", "figure-b")]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_the_same_figure_has_the_same_bytes():
    assert chart() == chart()


def test_names_with_dollars_and_angles_are_text_and_not_markup():
    text = chart(rows=[Row("a$x_1$<b>", "classical")])
    assert "a$x_1$&lt;b&gt;" in text


def test_a_long_history_is_thinned_and_keeps_every_validation():
    history = pd.DataFrame(history_rows(epochs=30, steps=400))
    text = str(pretraining_curve(history, training()))
    assert len(text) < 300_000
    longest = max(len(re.findall("L", path)) for path in re.findall(r' d="([^"]+)"', text))
    assert longest <= MAX_CURVE_POINTS


def test_a_training_without_a_floor_draws_none():
    history = pd.DataFrame(history_rows(epochs=3, steps=10))
    assert "gene mean" not in str(pretraining_curve(history, {}))


def test_degree_bins_are_named_by_the_degrees_that_they_hold():
    bins = {"left": [0, 1, 2, 4], "right": [1, 2, 4, 8], "genes": [5, 0, 3, 2]}
    text = str(degree_histograms({"coexpression": bins}))
    assert all(f">{name}<" in text for name in ("0", "1", "2–3", "4–7"))


def test_curves_are_named_at_their_ends():
    points = [(15.0, Estimate(0.7)), (50.0, Estimate(0.5))]
    panel = CurvePanel("Strict", "r", {"bulkformer": points, "mean": points})
    text = str(curve_chart("figure-c", "Curves", ROWS, [panel], "mean"))
    assert ">bulkformer<" in text
    assert ">mean<" in text
    assert ">random (untrained)<" not in text  # it has no curve


def test_names_beside_curves_are_moved_apart_and_stay_in_order():
    places = spread([0.5, 0.5, 0.51, 0.9, 1.0, 1.0], 0.05, 1.0)
    gaps = [after - before for before, after in pairwise(places)]
    assert min(gaps) > 0.05 - 1e-9
    assert places[-1] <= 1.0 + 1e-9


def test_numbers_are_rounded_and_never_dressed_up():
    assert decimal(0.12349) == "0.123"
    assert decimal(-0.0001) == "0.000"
    assert decimal(-0.5) == "−0.500"
    assert decimal(1221.0) == "1,221"
    assert decimal(None) == decimal(float("nan")) == "—"
    assert interval(0.1, None) == ""
    assert interval(-0.1, 0.25) == "[−0.100, 0.250]"
    assert short_decimal(0.591234) == "0.5912"
    assert short_decimal(12345) == "12,345"
    assert label("held_out_groups") == "held out groups"
    assert plural("study") == "studies"


def test_a_value_far_below_zero_is_an_arrow_at_the_edge_with_its_value_in_figures():
    far = Panel("Strict", "skill", {"bulkformer": Estimate(-13.2), "mean": Estimate(0.0)})
    text = str(dot_chart("figure-d", "A skill below the axis", ROWS, [far], "mean"))
    assert ">−13.200<" in text
    assert ">−12" not in text  # no axis tick down there


def test_a_curve_that_falls_below_the_axis_keeps_its_name_and_value():
    curves = {"bulkformer": [(15.0, Estimate(0.6)), (50.0, Estimate(-2.3))]}
    panel = CurvePanel("Strict", "skill", curves)
    text = str(curve_chart("figure-d", "Curves", ROWS, [panel], "mean"))
    assert "bulkformer (−2.300)" in text
